#!/usr/bin/env bash
# Behaviour: at::tensor() makes no bool tensor: its overload for bools compiles and throws when it is
#            called, and so does a list of numbers with at::kBool.
# Version:   torch==2.15.0 (the wheel's headers and libtorch_cpu.so; Debian 12, g++ 12).
# Seen:      at::tensor({true, false}) and at::tensor({1, 0}, at::kBool): c10::NotImplementedError,
#            "tensor_cpu" not implemented for 'Bool'; at::tensor({1, 0}).to(at::kBool): a bool tensor
# For us:    a mask is converted, or made by a comparison; a test of such a function compares numbers.
# Needs g++, python3 with pip, and 2 GB of disk for a while. Fails if the behaviour changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder/site" \
  torch==2.15.0 nvidia-cuda-runtime==13.2.86 nvidia-cuda-cupti==13.2.86
torch=$folder/site/torch
cat > "$folder/bools.cpp" <<'CPP'
#include <ATen/ATen.h>

#include <iostream>

template <typename Make>
void show(const char* how, const Make& make) {
  std::cout << how << ": ";
  try {
    std::cout << make().scalar_type() << "\n";
  } catch (const c10::Error& error) {
    std::cout << "throws, " << error.what_without_backtrace() << "\n";
  }
}

int main() {
  show("overload", [] { return at::tensor({true, false}); });
  show("by type", [] { return at::tensor({1, 0}, at::kBool); });
  show("converted", [] { return at::tensor({1, 0}).to(at::kBool); });
}
CPP
libraries=$(find "$folder/site/nvidia" -name '*.so.*' -printf '%h\n' | sort -u | tr '\n' ':')
g++ -std=c++20 -isystem "$torch/include" "$folder/bools.cpp" -o "$folder/bools" \
  -L"$torch/lib" -Wl,--allow-shlib-undefined -ltorch_cpu -lc10
seen=$(LD_LIBRARY_PATH="$torch/lib:$libraries" "$folder/bools")
echo "versions: torch $(sed -n "s/^__version__ = '\(.*\)'/\1/p" "$torch/version.py"), $(g++ --version | head -n 1)"
echo "expected: three bool tensors"
echo "seen:"
echo "$seen"
for how in overload "by type"; do grep -q "^$how: throws, .*not implemented for 'Bool'" <<< "$seen"; done
grep -q "^converted: Bool$" <<< "$seen"
