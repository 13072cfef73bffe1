// What the boundary costs at batch 1: an expert asked through the host (a batch of views made, the
// output allocated, filled and checked) against the same compiled function called with everything
// at hand (the baseline). Prints nanoseconds per call; tools/bench.sh the difference.
#include <benchmark/benchmark.h>

#include <filesystem>

#include "base/digest.h"
#include "base/files.h"
#include "experts/abi_views.h"
#include "experts/in_process_expert.h"

namespace moecollab {
namespace {

constexpr int64_t kWidth = 384;
constexpr int32_t kClasses = 4;

encoder::BertConfig config() {
  encoder::BertConfig config;
  config.layers = 6;
  config.hidden = kWidth;
  return config;
}

// One text of 18 words and its features.
encoder::Features one_row() {
  encoder::Features features;
  features.texts = {
      "The striker scored twice in the final minutes as the home team won the cup in the capital"};
  features.row_ids = {0};
  features.pooled[{6, encoder::Pooling::kMean}] = at::randn({1, kWidth});
  return features;
}

const experts::Library& library(const char* file) {
  const std::string bytes = read_file(file, "E_BENCH");
  return experts::Library::load(bytes, sha256_hex(bytes), fs::path(file).filename(), true);
}

void through_the_host(benchmark::State& state, const char* file, uint32_t inputs) {
  const encoder::BertConfig encoder = config();
  experts::ExpertSetup setup;
  setup.name = "expert";
  setup.classes = kClasses;
  setup.inputs = inputs;
  if (inputs == MOEC_INPUT_POOLED) {
    setup.pooling = encoder::Pooling::kMean;
    setup.layers = {6};
    setup.encoder = &encoder;
  }
  experts::InProcessExpert expert(library(file), std::move(setup));
  const encoder::Features row = one_row();
  for (auto _ : state) benchmark::DoNotOptimize(expert.forward(row));
}

void directly(benchmark::State& state, const char* file, uint32_t inputs) {
  const moec_library& table = library(file).table();
  moec_host host{};
  host.struct_size = sizeof host;
  moec_encoder_info encoder{};
  encoder.struct_size = sizeof encoder;
  encoder.layers = 6;
  encoder.hidden = kWidth;
  const int32_t layer = 6;
  moec_create_info info{};
  info.struct_size = sizeof info;
  info.classes = kClasses;
  info.inputs = inputs;
  info.config = {"{}", 2};
  encoder::FeatureRequest request;
  if (inputs == MOEC_INPUT_POOLED) {
    info.pooling = MOEC_POOLING_MEAN;
    info.layer_count = 1;
    info.layers = &layer;
    info.encoder = &encoder;
    request.pooled.insert({6, encoder::Pooling::kMean});
  }
  moec_expert* expert = nullptr;
  moec_error error{};
  error.struct_size = sizeof error;
  if (table.create(&host, &info, &expert, &error) != MOEC_OK)
    return state.SkipWithError(error.message);
  const encoder::Features row = one_row();
  const experts::Batch batch(row, request, inputs == MOEC_INPUT_TEXT);
  const at::Tensor logits = at::empty({1, kClasses});
  const moec_tensor out = experts::to_abi(logits);
  moec_exec exec{};
  exec.struct_size = sizeof exec;
  exec.device_type = MOEC_CPU;
  exec.threads = 1;
  for (auto _ : state) {
    benchmark::DoNotOptimize(table.forward(expert, &exec, &batch.view(), &out, &error));
    benchmark::ClobberMemory();
  }
  table.destroy(expert);
}

BENCHMARK_CAPTURE(directly, text, MOECOLLAB_KEYWORDS, MOEC_INPUT_TEXT);
BENCHMARK_CAPTURE(through_the_host, text, MOECOLLAB_KEYWORDS, MOEC_INPUT_TEXT);
BENCHMARK_CAPTURE(directly, pooled, MOECOLLAB_CENTROID, MOEC_INPUT_POOLED);
BENCHMARK_CAPTURE(through_the_host, pooled, MOECOLLAB_CENTROID, MOEC_INPUT_POOLED);

}  // namespace
}  // namespace moecollab

BENCHMARK_MAIN();
