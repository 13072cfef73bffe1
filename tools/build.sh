#!/usr/bin/env bash
# build.sh PRESET JOBS [TARGET]: configures and builds one preset (of it TARGET only), quietly unless
# something fails.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1 jobs=$2 target=${3:-all}
mkdir -p build
log=build/build-$preset.log
start=$SECONDS
echo "build: preset $preset with $jobs jobs (log: $log)" >&2
# A preset that names another compiler than the cache is not taken over: CMake then loses the rest of it.
case $preset in release|dev) cache=build/CMakeCache.txt ;; *) cache=build/$preset/CMakeCache.txt ;; esac
fresh=()
if [ -e "$cache" ] && [ CMakePresets.json -nt "$cache" ]; then fresh=(--fresh); fi
if ! { cmake --preset "$preset" "${fresh[@]}" && cmake --build --preset "$preset" -j "$jobs" --target "$target"; } > "$log" 2>&1; then
  grep -aE 'error|Error|FAILED' -A 8 "$log" | head -60 >&2 || tail -40 "$log" >&2
  echo "build: failed; the whole log is $log" >&2
  exit 1
fi
[ ! -e build/compile_commands.json ] || ln -sf build/compile_commands.json compile_commands.json
echo "build: done in $((SECONDS - start)) s" >&2
