#!/usr/bin/env bash
# Runs all tests in three parts, side by side: those on a real Asterisk that judge sound by packets
# of 20 ms, the others on a real Asterisk, which yield to them, and all that need no Asterisk, which
# get the idle time alone (SCHED_IDLE). Calls wait for their own time, mostly: one part after the
# other would take twice as long, with the processors idle.
# Usage: tools/run_tests.sh BIN [pytest's arguments]
set -uo pipefail
bin=$1
shift
most='not postgresql and not matrix and not docker and not promtool'
no_tests=5
quiet=$(mktemp -d)
trap 'rm -rf "$quiet"' EXIT

yield=(nice -n 5)
idle=()
chrt --idle 0 true 2>/dev/null && idle=(chrt --idle 0)

"${idle[@]}" "$bin/pytest" -m "not pbx and $most" "$@" >"$quiet/others" 2>&1 &
others=$!
"${yield[@]}" "$bin/pytest" -m "pbx and spare and $most" "$@" >"$quiet/spare" 2>&1 &
spare=$!
trap 'kill "$others" "$spare" 2>/dev/null' INT TERM

echo "== tests that judge sound on a real Asterisk (the others run beside them, and are shown below)"
"$bin/pytest" -m "pbx and not spare and $most" "$@"
statuses=($?)
wait "$spare"
statuses+=($?)
echo "== all other tests on a real Asterisk"
cat "$quiet/spare"
wait "$others"
statuses+=($?)
echo "== all other tests"
cat "$quiet/others"

ran=0
for one in "${statuses[@]}"; do
  if [ "$one" -eq "$no_tests" ]; then continue; fi
  ran=1
  if [ "$one" -ne 0 ]; then exit "$one"; fi
done
if [ "$ran" -eq 0 ]; then exit "$no_tests"; fi
