#!/usr/bin/env bash
# test.sh JOBS: every test of the tree, then the torch-free ones again under ASan and UBSan.
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=$1
tools/build.sh dev "$jobs"
ctest --test-dir build -j "$jobs" --output-on-failure --no-tests=error
tools/build.sh asan "$jobs" unit_tests
export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1
ctest --test-dir build/asan -j "$jobs" -L unit --output-on-failure --no-tests=error
