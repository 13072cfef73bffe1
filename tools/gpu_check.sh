#!/usr/bin/env bash
# gpu_check.sh pack [FILE]: packs the program that lies in BUILD (default: build), its kinds, the Debian
# libraries that it needs and the encoder, its weights as bfloat16, into FILE (default: build/gpu_check.tar.xz).
# gpu_check.sh run [FILE] [ROW…]: unpacks it on a machine with a GPU and some LibTorch, that of Python's torch
# or of MOECOLLAB_LIBTORCH_DIR, and prints a table of what tools/gpu_check.py measures there (rows: parity,
# encode, forward, gate, sweep, expert, table1; default: all). DATA names the folder of texts (default: samples/data),
# DEVICE what is checked (default: cuda; cpu tries this script without a GPU). Exit 1 if a bar is missed.
# The program must have been built with the same minor of LibTorch as the one there (docs/gpu.md).
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf 'gpu_check: %s\n' "$*" >&2; }
usage() { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
build=${BUILD:-build}
encoder=${MOECOLLAB_ENCODER:-.deps/encoder/all-MiniLM-L6-v2}

# Libraries that are neither LibTorch's nor on every machine.
debian_libraries() {
  { ldd "$build/bin/moecollab" "$build"/lib/*.so "$build"/lib/moecollab/plugins/*/*.so || true; } |
    sed -n 's/.* => \(\/\(usr\/\)\?lib\/[^ ]*\) .*/\1/p' | sort -u |
    grep -Ev '/(ld-linux|libc|libm|libdl|librt|libpthread|libresolv)[-.]'
}

pack() {  # FILE
  [ -x "$build/bin/moecollab" ] || { say "there is no $build/bin/moecollab; run \`make build\`"; exit 2; }
  local folder
  folder=$(mktemp -d)
  mkdir -p "$folder"/{tools,debian,build/bin,build/lib/moecollab}
  cp tools/demo.sh "$folder/tools/"
  cp "$build/bin/moecollab" "$folder/build/bin/"
  cp "$build/lib/libmoecollab_engine.so" "$folder/build/lib/"
  cp -r "$build/lib/moecollab/plugins" "$folder/build/lib/moecollab/"
  strip --strip-unneeded "$folder/build/bin/moecollab" "$folder/build/lib/libmoecollab_engine.so"
  debian_libraries | xargs -d '\n' -r cp -L -t "$folder/debian"
  tools/gpu_check.py shrink "$encoder" "$folder/encoder"
  mkdir -p "$(dirname "$1")"
  tar -C "$folder" -c . | xz -T0 > "$1"
  rm -rf "$folder"
  say "$1: $(($(stat -c %s "$1") / 1000000)) MB"
}

# The folder of a LibTorch, and of all libraries that it needs.
torch_libraries() {
  if [ -n "${MOECOLLAB_LIBTORCH_DIR:-}" ]; then
    echo "$MOECOLLAB_LIBTORCH_DIR/lib"
    find "$MOECOLLAB_LIBTORCH_DIR/../nvidia" -name lib -type d 2> /dev/null || true
    return
  fi
  python3 -c 'import glob, os, torch
base = os.path.dirname(torch.__file__)
print(base + "/lib", *glob.glob(os.path.dirname(base) + "/nvidia/*/lib"), sep="\n")'
}

run() {  # FILE ROW…
  local file=$1 folder
  shift
  [ -r "$file" ] || { say "there is no $file; make it with gpu_check.sh pack"; exit 2; }
  folder=$(mktemp -d)
  # shellcheck disable=SC2064  # the folder as it is called now
  trap "rm -rf '$folder'" EXIT
  tar -C "$folder" -xJf "$file"
  local libraries
  libraries=$(torch_libraries | paste -sd:):$folder/debian${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  tools/gpu_check.py run --program "$folder/build/bin/moecollab" --libraries "$libraries" --encoder "$folder/encoder" \
    --data "${DATA:-samples/data}" --device "${DEVICE:-cuda}" ${1:+--rows} "$@"
}

verb=${1:-}
file=${2:-$build/gpu_check.tar.xz}
case $verb in
  pack) pack "$file" ;;
  run) shift; [ $# -eq 0 ] || shift; run "$file" "$@" ;;
  *) usage ;;
esac
