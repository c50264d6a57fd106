#!/usr/bin/env bash
# Runs all tests in two halves, side by side: those on a real Asterisk, which judge sound by packets
# of 20 ms, and all others, which get the idle time alone (SCHED_IDLE) so that they disturb none.
# Usage: tools/run_tests.sh BIN [pytest's arguments]
set -uo pipefail
bin=$1
shift
quiet=$(mktemp)
trap 'rm -f "$quiet"' EXIT
most='not postgresql and not matrix and not docker and not promtool'
no_tests=5

idle=()
chrt --idle 0 true 2>/dev/null && idle=(chrt --idle 0)
"${idle[@]}" "$bin/pytest" -m "not pbx and $most" "$@" >"$quiet" 2>&1 &
others=$!
trap 'kill "$others" 2>/dev/null' INT TERM

echo "== tests on a real Asterisk (the others run beside them, and are shown below)"
"$bin/pytest" -m "pbx and $most" "$@"
asterisk=$?
wait "$others"
status=$?
echo "== all other tests"
cat "$quiet"

for one in "$asterisk" "$status"; do
  if [ "$one" -ne 0 ] && [ "$one" -ne "$no_tests" ]; then exit "$one"; fi
done
if [ "$asterisk" -eq "$no_tests" ] && [ "$status" -eq "$no_tests" ]; then exit "$no_tests"; fi
