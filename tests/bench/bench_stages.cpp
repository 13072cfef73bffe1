// What a stage costs against the plainest way to the same numbers, in one process and one run.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <benchmark/benchmark.h>

#include <cstdlib>

#include "encoder/bert.h"
#include "fusion/fusion.h"
#include "text/tokenizer.h"

namespace moecollab {
namespace {

fs::path encoder_folder() {
  const char* folder = std::getenv("MOECOLLAB_ENCODER");
  return folder == nullptr ? ".deps/encoder/all-MiniLM-L6-v2" : folder;
}

// The product that MiniLM spends most of its time in, [1024, 384] × [384, 1536]: our prepared
// layout against LibTorch's plain linear (the baseline).
void plain_linear(benchmark::State& state) {
  const at::Tensor x = at::randn({1024, 384}), w = at::randn({1536, 384}), b = at::randn({1536});
  for (auto _ : state) benchmark::DoNotOptimize(at::linear(x, w, b));
}
void prepared_linear(benchmark::State& state) {
  const encoder::Linear linear(at::randn({1536, 384}), at::randn({1536}));
  const at::Tensor x = at::randn({1024, 384});
  for (auto _ : state) benchmark::DoNotOptimize(linear(x));
}
BENCHMARK(plain_linear)->Unit(benchmark::kMicrosecond);
BENCHMARK(prepared_linear)->Unit(benchmark::kMicrosecond);

// 64 texts of 8 to 39 tokens: packed without padding against padded to the longest (the baseline,
// through the same model).
struct Batch {
  std::vector<int32_t> lengths;
  at::Tensor ids;
  explicit Batch(bool padded) {
    int64_t total = 0;
    for (int32_t i = 0; i < 64; ++i) lengths.push_back(padded ? 39 : 39 - i / 2);
    for (const int32_t length : lengths) total += length;
    ids = at::randint(1000, 20000, {total}, at::kInt);
  }
};
void forward(benchmark::State& state, bool padded) {
  static const encoder::Bert bert(encoder_folder(), at::kCPU);
  const Batch batch(padded);
  for (auto _ : state) benchmark::DoNotOptimize(bert.forward(batch.ids, batch.lengths, {6}));
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

BENCHMARK_MAIN();
