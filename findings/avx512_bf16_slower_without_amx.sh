#!/usr/bin/env bash
# Behaviour: on Intel's CPUs whose AMX units a virtual machine hides, products of bf16 matrices take longer
#            than the same in fp32, although the CPU lists avx512_bf16, whose instruction multiplies twice
#            as many numbers. On AMD's with avx512_bf16 they are the faster ones.
# Version:   torch==2.15.0 (its oneDNN), Debian 12, g++ 12; Intel family 6, model 207 (Emerald Rapids), two
#            cores, no amx_bf16 in /proc/cpuinfo.
# Seen:      oneDNN's 1024 x 384 by 384 x 1536 on one thread: fp32 7.8 ms, bf16 14.1 ms.
# For us:    "auto" of [training] precision takes bf16 on Intel's only with AMX: a deep expert's epoch is
#            1.4 times as fast in fp32 there.
# Needs g++, python3 with pip, 2 GB of disk for a while, and a CPU with avx512_bf16 of Intel or AMD, else it
# says so and ends with 77. Fails if the behaviour changes.
set -euo pipefail
grep -q avx512_bf16 /proc/cpuinfo || { echo "this CPU has no avx512_bf16: nothing can be seen here"; exit 77; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder/site" \
  torch==2.15.0 nvidia-cuda-runtime==13.2.86 nvidia-cuda-cupti==13.2.86
torch=$folder/site/torch
cat > "$folder/linear.cpp" <<'CPP'
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

// oneDNN's product in both types; at::linear takes MKL's for fp32.
at::Tensor product(const at::Tensor& x, const at::Tensor& w) {
  using Scalars = c10::List<std::optional<at::Scalar>>;
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("mkldnn::_linear_pointwise", "")
                             .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&,
                                               std::string_view, Scalars, std::optional<std::string_view>)>();
  return op.call(x, w, std::nullopt, "none", Scalars(), "");
}

// The least milliseconds of a product, of 300.
double milliseconds(at::ScalarType type) {
  const at::Tensor x = at::randn({1024, 384}).to(type), w = at::randn({1536, 384}).to(type);
  double least = 1e9;
  for (int i = 0; i < 300; ++i) {
    const auto start = std::chrono::steady_clock::now();
    product(x, w);
    const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - start;
    least = std::min(least, taken.count());
  }
  return least;
}

int main() {
  at::set_num_threads(1);
  const double fp32 = milliseconds(at::kFloat), bf16 = milliseconds(at::kBFloat16);
  std::printf("fp32 %.2f ms, bf16 %.2f ms: %s\n", fp32, bf16, bf16 < fp32 ? "bf16 is faster" : "fp32 is faster");
}
CPP
libraries=$(find "$folder/site/nvidia" -name '*.so.*' -printf '%h\n' | sort -u | tr '\n' ':')
g++ -std=c++20 -O2 -isystem "$torch/include" "$folder/linear.cpp" -o "$folder/linear" \
  -L"$torch/lib" -Wl,--allow-shlib-undefined -ltorch_cpu -lc10
seen=$(LD_LIBRARY_PATH="$torch/lib:$libraries" "$folder/linear")
echo "versions: torch $(sed -n "s/^__version__ = '\(.*\)'/\1/p" "$torch/version.py"), $(g++ --version | head -n 1)"
echo "CPU: $(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -n 1), model $(sed -n 's/^model\s*: //p' /proc/cpuinfo | head -n 1), $(grep -o -m 1 -w amx_bf16 /proc/cpuinfo || echo no amx_bf16)"
echo "expected: bf16 is faster"
echo "seen:     $seen"
if grep -q GenuineIntel /proc/cpuinfo && ! grep -q -w amx_bf16 /proc/cpuinfo; then
  grep -q "fp32 is faster" <<< "$seen"
else
  grep -q "bf16 is faster" <<< "$seen"
fi
