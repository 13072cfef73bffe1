#!/usr/bin/env bash
# fuzz.sh SECONDS JOBS: libFuzzer (clang, ASan, UBSan) on every parser of outside bytes, SECONDS for all of
# them together. What breaks one stays in build/fuzz/found/; its corpus in build/fuzz/corpus/ is kept for
# the next run. Exit 0: nothing was found.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=$1 jobs=$2
case $seconds in ''|*[!0-9]*|0) echo "fuzz: SECONDS is \"$seconds\", expected a whole number from 1" >&2; exit 2 ;; esac
tools/build.sh fuzz "$jobs" fuzz_parsers
program=build/fuzz/bin/fuzz_parsers
mapfile -t parsers < <("$program")
each=$(((seconds + ${#parsers[@]} - 1) / ${#parsers[@]}))
found=build/fuzz/found
mkdir -p "$found"
failed=()
for parser in "${parsers[@]}"; do
  corpus=build/fuzz/corpus/$parser
  mkdir -p "$corpus"
  log=build/fuzz/$parser.log
  if MOECOLLAB_PARSER=$parser MOECOLLAB_SEED_FILE=$corpus/seed "$program" -max_total_time="$each" -timeout=10 \
      -max_len=65536 -artifact_prefix="$found/$parser-" "$corpus" > "$log" 2>&1; then
    echo "fuzz: $parser: $(grep -E '^Done' "$log"), $(find "$corpus" -type f | wc -l) inputs"
  else
    failed+=("$parser")
    echo "fuzz: $parser FAILED: see $log and $found/" >&2
  fi
done
[ ${#failed[@]} -eq 0 ]
