#!/bin/sh
# Makes the demo's prompts and the caller's words, as 8 kHz telephone WAVs, from text alone.
# Needs Debian's flite and sox (apt-get install flite sox); gives the same bytes on each run.
set -eu

out=${1:-$(dirname "$0")/../src/turnrec/bots/audio}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

# say VOICE NAME TEXT
say() {
    flite -voice "$1" --setf duration_stretch="$stretch" -t "$3" -o "$work/voice.wav"
    # Down to the telephone's rate and band, with the silence cut off at both ends.
    sox -D "$work/voice.wav" -c 1 -b 16 "$work/cut.wav" \
        gain -6 rate -v 8000 sinc 200-3600 \
        silence 1 0.01 0.1% reverse silence 1 0.01 0.1% reverse
    # -20 dBFS RMS, as near as a telephone prompt should be; the limiter holds the rare peak.
    level=$(sox "$work/cut.wav" -n stats 2>&1 | awk '/^RMS lev dB/ {print $4}')
    gain=$(awk "BEGIN {print -20 - ($level)}")
    # Fades against clicks, and 40 ms of room at each end.
    sox -D "$work/cut.wav" -b 16 "$out/$2.wav" \
        gain -l "$gain" fade t 0.005 -0 0.005 pad 0.04 0.04
}

mkdir -p "$out"

# The bot: flite spells Kaveri as it is said here, not as an American would read it.
stretch=1.05
say slt welcome "Welcome to Kahveri Bank. This call is recorded for your safety. Let us verify your identity."
say slt ask_aadhaar "Please say your twelve digit Aadhaar number, then key in its last four digits."
say slt confirmed "Thank you. Your number has been verified."
say slt goodbye "You are all set. Thank you for calling, goodbye."

# The caller. The number is nobody's: an Aadhaar number ends in a Verhoeff check digit, and
# this one's is wrong: 4 would be right (tests/unit/pbx/test_voices.py).
stretch=1.0
say rms caller_hello "Hello, I would like to activate my card."
stretch=1.1
say rms caller_aadhaar "Two, three, four, five. Six, seven, eight, nine. Zero, one, two, three."
stretch=1.0
say rms caller_thanks "Great, thank you very much."
