#!/bin/sh
# A stage that nobody has started as one says so, and ends with 2.
set -eu
check() {
  code=0
  said=$("$@" 2>&1 </dev/null) || code=$?
  test "$code" -eq 2
  echo "$said" | grep -q "$expected"
}
unset MODRUN_STAGE
expected='`modrun run` starts it'
check "$1" echo event
expected='it is `socket=x`'
MODRUN_STAGE=socket=x check "$1" echo event
