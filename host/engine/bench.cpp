#include <fmt/format.h>

#include "base/error.h"
#include "base/measure.h"
#include "engine/precision.h"
#include "engine/session.h"
#include "engine/verbs.h"
#include "pipeline/collaboration.h"

namespace moecollab::engine {
namespace {

// Synthetic texts of 4 to 60 common words; counted, not sampled, so that every run has the same.
std::vector<std::string> bench_texts(int64_t count) {
  static constexpr const char* kWords[] = {"the", "court",   "found", "a",      "new", "treatment",
                                           "for", "players", "of",    "market", "and", "users"};
  std::vector<std::string> texts;
  for (int64_t i = 0; i < count; ++i) {
    std::string text;
    for (int64_t w = 0; w < 4 + (i * 7) % 57; ++w)
      text += std::string(w > 0 ? " " : "") + kWords[(i + w * 5) % 12];
    texts.push_back(text);
  }
  return texts;
}

// This machine's own peak for the encoder's largest product, measured now.
double peak_gflops(const encoder::BertConfig& config) {
  const at::Tensor x = at::ones({2048, config.hidden}),
                   w = at::ones({config.intermediate, config.hidden});
  double best = 0;
  for (int i = 0; i < 10; ++i) {
    const Stopwatch watch;
    at::linear(x, w);
    best = std::max(best, 2.0 * 2048 * static_cast<double>(config.hidden * config.intermediate) /
                              watch.seconds() / 1e9);
  }
  return best;
}

Json bench_encode(pipeline::Pool& pool, const std::vector<std::string_view>& views) {
  encoder::Encoder& encoder = *pool.encoder();
  const encoder::FeatureRequest request{
      {{static_cast<int>(encoder.config().layers), encoder::Pooling::kMean}}, {}, false};
  encoder.load();
  encoder.encode(std::span(views).first(std::min<size_t>(16, views.size())), request);
  const Stopwatch watch;
  encoder.encode(views, request);
  const double seconds = watch.seconds();
  double flops = 0;
  int64_t tokens = 0;
  for (const int32_t length : encoder.lengths(views).tokens) {
    flops += static_cast<double>(encoder.flops(length));
    tokens += length;
  }
  const double gflops = flops / seconds / 1e9, peak = peak_gflops(encoder.config());
  const auto n = static_cast<double>(views.size());
  return {{"texts_per_second", n / seconds},
          {"tokens_per_second", static_cast<double>(tokens) / seconds},
          {"gflops", gflops},
          {"peak_gflops", peak},
          {"share_of_peak", gflops / peak}};
}

Json bench_expert(pipeline::Pool& pool, pipeline::InstalledExpert& expert,
                  const std::vector<std::string_view>& views) {
  const encoder::Features features = pipeline::features_of(pool, views, expert.expert->request());
  Json result = {{"name", expert.name}};
  for (const int64_t batch : {int64_t{1}, int64_t{32}}) {
    const encoder::Features rows = features.slice(0, std::min<int64_t>(batch, features.rows()));
    constexpr int kCalls = 200;
    expert.expert->forward(rows);
    const Stopwatch watch;
    for (int i = 0; i < kCalls; ++i) expert.expert->forward(rows);
    result[fmt::format("microseconds_batch_{}", batch)] = watch.seconds() / kCalls * 1e6;
  }
  return result;
}

}  // namespace

Json run_bench(const BenchOptions& options, const RunContext& context) {
  prepare(options);
  note_auto(options, context.log);
  if (options.texts < 1)
    throw Error("E_CONFIG", fmt::format("texts is {}, expected at least 1", options.texts));
  pipeline::Pool pool(pool_options(options, context, /*cached=*/false));
  if (pool.encoder() == nullptr)
    throw Error("E_ENCODER", "registry.toml names no encoder", "use --encoder DIR");
  const std::vector<std::string> texts = bench_texts(options.texts);
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  Json result = {{"threads", pool.options().compute.threads}, {"texts", options.texts}};
  if (options.stage != BenchStage::kExpert) result["encode"] = bench_encode(pool, views);
  if (options.stage != BenchStage::kEncode) {
    result["experts"] = Json::array();
    for (pipeline::InstalledExpert& expert : pool.experts())
      result["experts"].push_back(bench_expert(pool, expert, views));
  }
  return result;
}

}  // namespace moecollab::engine
