#!/bin/sh
# The library as another project finds it: installed, and as a part of its own tree.
set -eu
cmake=$1
build=$2
source=$3
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
cd "$folder"

"$cmake" --install "$build" --prefix installed >/dev/null
cp -r "$source/tests/consumer" consumer
"$cmake" -S consumer -B found -DCMAKE_PREFIX_PATH="$folder/installed" >/dev/null
"$cmake" --build found >/dev/null
code=0
./found/rules 2>/dev/null || code=$?
test "$code" -eq 2

"$cmake" -S consumer -B inside -DMODULAR_RUNTIME_SOURCE="$source" >/dev/null
grep -q 'MODULAR_RUNTIME_TESTS:BOOL=OFF' inside/CMakeCache.txt
