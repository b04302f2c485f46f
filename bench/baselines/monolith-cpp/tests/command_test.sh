#!/bin/sh
# The command from outside: both variants give the same results, and a missing input is an error without results.
set -eu
monolith=$1
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
cd "$folder"

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

for variant in '--queue mutex' '--queue mutex --workers 3 --queue-size 1' '--queue lockfree' \
  '--queue lockfree --batch 7 --workers 3' '--queue lockfree --batch 1 --queue-size 2'; do
  # shellcheck disable=SC2086 # the variant is several words
  "$monolith" --input events.ndjson --output results.ndjson --report report.json $variant 2>/dev/null
  diff expected.ndjson results.ndjson
  grep -q '"events":2500,"rejected":500' report.json
  rm results.ndjson
done

if "$monolith" --input missing.ndjson --output results.ndjson 2>error; then exit 1; fi
grep -q 'cannot read `missing.ndjson`: No such file or directory' error
test ! -e results.ndjson
if "$monolith" --input events.ndjson --output results.ndjson --workers 0 2>/dev/null; then exit 1; fi
