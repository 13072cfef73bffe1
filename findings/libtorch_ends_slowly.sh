#!/usr/bin/env bash
# Behaviour: a program that has loaded libtorch_cpu.so and computed one product needs tens of
#            milliseconds from the return of main() to its end: the destructors of LibTorch's static
#            objects take every operator out of the dispatcher again, one by one.
# Version:   torch==2.15.0 (the wheel's headers and libtorch_cpu.so; Debian 12, g++ 12).
# Seen:      main() returns: 67 ms to the end; std::quick_exit(): 6 ms
# For us:    host/app/main.cpp ends by std::quick_exit() if the engine was opened, after everything
#            was written. docs/abi-policy.md tells authors of experts that static destructors do not
#            run.
# Needs g++, python3 with pip, and 2 GB of disk for a while. Fails if the behaviour changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder/site" \
  torch==2.15.0 nvidia-cuda-runtime==13.2.86 nvidia-cuda-cupti==13.2.86
torch=$folder/site/torch
cat > "$folder/end.cpp" <<'CPP'
#include <ATen/ATen.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

int main(int argc, char**) {
  if (at::ones({2, 2}).mm(at::ones({2, 2})).sum().item<float>() != 8) return 1;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  std::printf("%lld\n", static_cast<long long>(std::chrono::nanoseconds(now).count()));
  std::fflush(stdout);
  if (argc > 1) std::quick_exit(0);
}
CPP
libraries=$(find "$folder/site/nvidia" -name '*.so.*' -printf '%h\n' | sort -u | tr '\n' ':')
g++ -std=c++20 -O1 -isystem "$torch/include" "$folder/end.cpp" -o "$folder/end" \
  -L"$torch/lib" -Wl,--allow-shlib-undefined -ltorch_cpu -lc10
least_ms() {  # ARGUMENT…: from the last line of main() to the end of the process, the least of ten
  local least=1000000 took begun
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    begun=$(LD_LIBRARY_PATH="$torch/lib:$libraries" "$folder/end" "$@")
    took=$((($(date +%s%N) - begun) / 1000000))
    [ "$took" -ge "$least" ] || least=$took
  done
  echo "$least"
}
returns=$(least_ms) quick=$(least_ms quick)
echo "versions: torch $(sed -n "s/^__version__ = '\(.*\)'/\1/p" "$torch/version.py"), $(g++ --version | head -n 1)"
echo "expected: a few milliseconds in both"
echo "seen: main() returns: $returns ms to the end; std::quick_exit(): $quick ms"
[ "$returns" -ge $((quick + 15)) ]
