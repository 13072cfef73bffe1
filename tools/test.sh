#!/usr/bin/env bash
# test.sh JOBS: every test of the tree, then the torch-free ones again under ASan and UBSan. Ends with
# the seconds of each part, their sum, and the twenty slowest tests. The budget on two cores: build 9,
# tests 9, sanitizers 5 minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=$1
parts=()
part() {  # NAME COMMAND…
  local name=$1 start=$SECONDS
  shift
  "$@"
  parts+=("$name" "$((SECONDS - start))")
}
tests() {  # FOLDER [CTEST OPTION…]
  local folder=$1
  shift
  ctest --test-dir "$folder" -j "$jobs" --output-on-failure --no-tests=error --output-junit times.xml "$@"
}

part "build" tools/build.sh dev "$jobs"
part "tests" tests build
part "sanitizer build" tools/build.sh asan "$jobs" unit_tests
symbolizer=external_symbolizer_path=$(command -v addr2line)
export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1:$symbolizer UBSAN_OPTIONS=print_stacktrace=1:$symbolizer
part "sanitizer tests" tests build/asan -L unit
tools/test_times.py "${parts[@]}" -- build/times.xml build/asan/times.xml
