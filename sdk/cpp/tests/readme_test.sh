#!/bin/sh
# The examples of the README compile, each in a namespace of its own.
set -eu
compiler=$1
source=$2
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
{
  printf '#include <cmath>\n#include <modular_runtime/run.hpp>\n#include <modular_runtime/testing.hpp>\n'
  awk '/^```cpp$/ { inside = 1; printf "namespace example_%d {\nusing namespace modular_runtime;\n", ++count; next }
       /^```$/ && inside { inside = 0; print "}"; next }
       inside && !/^#include/' "$source/README.md"
} >"$folder/examples.cpp"
grep -q example_9 "$folder/examples.cpp"
"$compiler" -std=c++20 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I "$source/include" "$folder/examples.cpp"
