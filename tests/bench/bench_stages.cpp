// What a stage costs against the plainest way to the same numbers, in one process and one run.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <numeric>

#include "bench.h"
#include "encoder/bert.h"
#include "fusion/fusion.h"
#include "text/tokenizer.h"

namespace moecollab {
namespace {

fs::path encoder_folder() {
  const char* folder = std::getenv("MOECOLLAB_ENCODER");
  return folder == nullptr ? ".deps/encoder/all-MiniLM-L6-v2" : folder;
}

// The product that MiniLM spends most of its time in, [384, 384] × [384, 1536] on one thread, in
// tiles: against LibTorch's plain linear in the same precision (the baseline).
void plain_linear(benchmark::State& state, at::ScalarType type) {
  at::set_num_threads(1);
  const at::Tensor x = at::randn({384, 384}).to(type), w = at::randn({1536, 384}).to(type),
                   b = at::randn({1536}).to(type);
  for (auto _ : state) benchmark::DoNotOptimize(at::linear(x, w, b));
}
void tiled_product(benchmark::State& state, Precision precision) {
  using namespace encoder;
  if (!cpu_has(precision)) return state.SkipWithError("this CPU lacks the instructions");
  const Kernels& kernels = *usable_kernels().front();
  Arena memory(Product::bytes(1536, 384, precision));
  const Product product(at::randn({1536, 384}), at::randn({1536}), precision, kernels, memory);
  const at::Tensor x = at::randn({384, 384});
  std::vector<float> numbers(384 * 384), scales(384), offsets(384), tile(kTile * kTile);
  Operand operand{numbers_of(precision), numbers.data(), 384, scales.data(), offsets.data()};
  if (precision == Precision::kFp32) operand.values = x.mutable_data_ptr<float>();
  kernels.convert(x.const_data_ptr<float>(), 384, 384, 384, operand);
  for (auto _ : state) {
    for (int64_t n = 0; n < product.tiles(); ++n) {
      for (int64_t row = 0; row < 384; row += kTile)
        product.multiply(operand, row, n, {tile.data(), kTile});
    }
  }
}
BENCHMARK_CAPTURE(plain_linear, fp32, at::kFloat)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(tiled_product, fp32, Precision::kFp32)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(plain_linear, bf16, at::kBFloat16)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(tiled_product, bf16, Precision::kBf16)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(tiled_product, int8, Precision::kInt8)->Unit(benchmark::kMicrosecond);

// 64 texts of 8 to 39 tokens: packed without padding against padded to the longest (the baseline,
// through the same model).
struct Batch {
  std::vector<int32_t> lengths;
  std::vector<int32_t> ids;
  explicit Batch(bool padded) {
    for (int32_t i = 0; i < 64; ++i) lengths.push_back(padded ? 39 : 39 - i / 2);
    const int32_t total = std::accumulate(lengths.begin(), lengths.end(), 0);
    for (int32_t i = 0; i < total; ++i) ids.push_back(1000 + i * 7919 % 19000);
  }
};
void forward(benchmark::State& state, bool padded) {
  static const encoder::Bert bert(encoder::open_encoder_folder(encoder_folder(), 256),
                                  Precision::kFp32);
  const Batch batch(padded);
  for (auto _ : state) {
    bert.forward(batch.ids, batch.lengths, {6}, [](int, const encoder::States& states) {
      benchmark::DoNotOptimize(states.values);
    });
  }
}
BENCHMARK_CAPTURE(forward, padded, true)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(forward, packed, false)->Unit(benchmark::kMillisecond);

void tokenize(benchmark::State& state) {
  const auto tokenizer =
      text::Tokenizer::from_folder(encoder_folder(), text::SpecialTokens::kSplit);
  std::string text;
  for (int i = 0; i < 40; ++i)
    text += "The court found that unreasonable delays were unacceptable. ";
  for (auto _ : state) benchmark::DoNotOptimize(tokenizer.encode(text, 512));
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text.size()));
}
BENCHMARK(tokenize)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace moecollab

int main(int argc, char** argv) {
  moecollab::wait_as_the_program(argv);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
