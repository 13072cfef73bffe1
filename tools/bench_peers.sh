#!/usr/bin/env bash
# bench_peers.sh [OPTION…]: tests/bench/peers.py in a Python that has the peers of tools/peers.txt: build/peers, made here
# at the first run and whenever that list changes, or PEERS_PYTHON, a Python that has them already. Options are those of peers.py.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PEERS_PYTHON:-build/peers/bin/python}
if [ -z "${PEERS_PYTHON:-}" ] && ! cmp -s tools/peers.txt build/peers/installed.txt; then
  echo "bench-peers: installing the packages of tools/peers.txt into build/peers (several GB)" >&2
  rm -rf build/peers
  python3 -m venv --without-pip build/peers  # pip is Debian's, which needs no package more
  python3 -m pip --python "$python" install --quiet --disable-pip-version-check -r tools/peers.txt
  cp tools/peers.txt build/peers/installed.txt
fi
exec "$python" tests/bench/peers.py "$@"
