#!/bin/sh
# The whole system from outside: right results for every batch size, an error without results for a missing
# input, the name and the last words of a service that dies, and no process left behind by any end.
set -eu
orchestrator=$1
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
cd "$folder"

fail() {
  echo "$1" >&2
  exit 1
}

for i in $(seq 1 500); do
  echo '{"ts":"2026-01-01T00:00:00.000Z","type":"click","user":"u1","value":10,"metadata":{"seq":1}}'
  echo '{"ts":"2026-01-01T00:00:00.000Z","type":"view","user":"u2","value":99,"metadata":{"seq":2}}'
  echo '{"ts":"2026-01-01T00:00:00.000Z","type":"buy","user":"u3","value":9,"metadata":{"seq":3}}'
  echo '{"ts":"2026-01-01T00:00:00.000Z","type":"buy","user":"u3","value":15,"metadata":{"seq":4}}'
  echo 'not an event'
done >events.ndjson
cat >expected.ndjson <<'END'
{"key":"buy","count":500,"sum":7500,"avg":15}
{"key":"click","count":500,"sum":5000,"avg":10}
END

for batch in 1 7 1000 adaptive; do
  "$orchestrator" --input events.ndjson --output results.ndjson --batch "$batch" --report report.json 2>/dev/null
  diff expected.ndjson results.ndjson
  grep -q '"events":2500,"rejected":500' report.json || fail "batch $batch: wrong counts in the report"
  rm results.ndjson
done

if "$orchestrator" --input missing.ndjson --output results.ndjson 2>error; then fail 'a missing input passed'; fi
grep -q 'service `ingest` failed: cannot read `.*missing.ndjson`: ENOENT' error || fail "$(cat error)"
test ! -e results.ndjson || fail 'a missing input gave results'

# The services of an orchestrator: its children, five of them once it has started all.
children() {
  cat /proc/"$1"/task/*/children 2>/dev/null
}
# Starts a run that does not end by itself: nothing is ever written to its input.
mkfifo endless.ndjson
start_endless() {
  sleep 1000 >endless.ndjson &
  holder=$!
  "$orchestrator" --input endless.ndjson --output results.ndjson 2>error &
  run=$!
  until [ "$(children "$run" | wc -w)" = 5 ]; do :; done
  services=$(children "$run")
}
check_nothing_left() {
  kill "$holder"
  for service in $services; do
    test ! -d "/proc/$service" || fail "process $service is left: $(cat "/proc/$service/cmdline")"
  done
  test ! -e results.ndjson || fail 'a run that did not end gave results'
}

start_endless
for service in $services; do
  if grep -q split_rules "/proc/$service/cmdline"; then rules=$service; fi
done
kill -9 "$rules"
if wait "$run"; then fail 'a dead service passed'; fi
grep -q 'service `rules` died (signal: 9 (SIGKILL))' error || fail "$(cat error)"
check_nothing_left

start_endless
kill -INT "$run"
code=0
wait "$run" || code=$?
test "$code" = 130 || fail "an interrupted run ended with $code"
check_nothing_left
