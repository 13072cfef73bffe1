#!/usr/bin/env bash
# Behaviour: at::parallel_for() is a plain loop on one thread in a program that is compiled without
#            -fopenmp, whatever at::set_num_threads() was given: the header looks at _OPENMP. Nothing
#            is said, at::get_num_threads() tells the number asked for, and LibTorch's own operators,
#            compiled with OpenMP, use all threads.
# Version:   torch==2.15.0 (the wheel's headers and libtorch_cpu.so; Debian 12, g++ 12).
# Seen:      without -fopenmp: 2 threads asked for, 1 used; with it: 2 asked for, 2 used
# For us:    host/encoder/parallel.cpp is compiled with OpenMP and refuses to compile without; all
#            loops of ours that should use several threads go through it.
# Needs g++, python3 with pip, and 2 GB of disk for a while. Fails if the behaviour changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder/site" \
  torch==2.15.0 nvidia-cuda-runtime==13.2.86 nvidia-cuda-cupti==13.2.86
torch=$folder/site/torch
cat > "$folder/threads.cpp" <<'CPP'
#include <ATen/Parallel.h>

#include <iostream>
#include <mutex>
#include <set>
#include <thread>

int main() {
  at::set_num_threads(2);
  std::mutex mutex;
  std::set<std::thread::id> used;
  at::parallel_for(0, 2, 1, [&](int64_t, int64_t) {
    const std::lock_guard lock(mutex);
    used.insert(std::this_thread::get_id());
  });
  std::cout << at::get_num_threads() << " asked for, " << used.size() << " used\n";
}
CPP
libraries=$(find "$folder/site/nvidia" -name '*.so.*' -printf '%h\n' | sort -u | tr '\n' ':')
build_and_run() {  # FLAG…
  g++ -std=c++20 "$@" -isystem "$torch/include" "$folder/threads.cpp" -o "$folder/threads" \
    -L"$torch/lib" -Wl,--allow-shlib-undefined -ltorch_cpu -lc10
  LD_LIBRARY_PATH="$torch/lib:$libraries" "$folder/threads"
}
without=$(build_and_run) with=$(build_and_run -fopenmp)
echo "versions: torch $(sed -n "s/^__version__ = '\(.*\)'/\1/p" "$torch/version.py"), $(g++ --version | head -n 1)"
echo "expected: 2 used in both"
echo "seen: without -fopenmp: $without; with it: $with"
[ "$without" = "2 asked for, 1 used" ]
[ "$with" = "2 asked for, 2 used" ]
