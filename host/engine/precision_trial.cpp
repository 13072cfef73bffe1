#include "engine/precision_trial.h"

#include "base/measure.h"
#include "base/version.h"
#include "encoder/device.h"
#include "engine/precision.h"
#include "evaluation/precision_comparison.h"
#include "evaluation/run.h"
#include "pipeline/collaboration.h"
#include "pipeline/targets.h"

namespace moecollab::engine {
namespace {

constexpr size_t kTimedTexts = 512;  // of all, evenly chosen
constexpr int kPasses = 2;           // in turns; the faster counts

std::vector<std::string_view> timed_texts(const std::vector<data::Dataset>& datasets) {
  std::vector<std::string_view> all, chosen;
  for (const data::Dataset& dataset : datasets) {
    const std::vector<std::string_view> texts = pipeline::text_views(dataset);
    all.insert(all.end(), texts.begin(), texts.end());
  }
  const size_t count = std::min(kTimedTexts, all.size());
  for (size_t i = 0; i < count; ++i) chosen.push_back(all[i * all.size() / count]);
  return chosen;
}

// Seconds of the encoder in each precision, without a cache; loading is not counted.
std::array<double, 2> measure(const pipeline::Pool& pool, std::array<Precision, 2> precisions,
                              std::span<const std::string_view> texts, const RunContext& context) {
  const encoder::FeatureRequest request{
      {{static_cast<int>(pool.encoder()->config().layers), encoder::Pooling::kMean}}, {}, false};
  std::vector<std::unique_ptr<encoder::Encoder>> encoders;
  for (const Precision precision : precisions) {
    encoders.push_back(std::make_unique<encoder::Encoder>(
        pool.encoder()->settings(), pool.options().compute.in(precision),
        pool.options().batch_tokens, nullptr, context));
    encoders.back()->load();
    encoders.back()->encode(texts.first(std::min<size_t>(16, texts.size())), request);
  }
  std::array<double, 2> best{};
  for (int pass = 0; pass < kPasses; ++pass) {
    for (size_t i = 0; i < encoders.size(); ++i) {
      const Stopwatch watch;
      encoders[i]->encode(texts, request, "measuring");
      const double seconds = watch.seconds();
      best[i] = pass == 0 ? seconds : std::min(best[i], seconds);
    }
  }
  return best;
}

}  // namespace

bool is_trial(const EvalOptions& options) {
  return !options.auto_precision && options.compute.precision != Precision::kFp32;
}

Json try_precision(const EvalOptions& options, const LoadedGate& gate,
                   const std::vector<data::Dataset>& datasets, const evaluation::Figures& figures,
                   const RunContext& context) {
  registry::PrecisionRecord record;
  record.precision = options.compute.precision;
  record.against = gate.file.precision;
  record.use = precision_use(options.registry, gate, options.compute.device);
  const Device device = options.compute.device;
  record.cpu_name = device.is_cpu() ? cpu_model() : encoder::cuda_device(device).name;
  record.version = kVersion;
  record.threads = options.compute.threads;

  const RunContext quiet{Log(), context.stop, context.displays};  // the first run has said it all
  EvalOptions against = options;
  against.no_cache = against.no_cache || context.ranks != nullptr;  // as all of its run
  against.compute = options.compute.in(record.against);
  pipeline::Pool pool(pool_options(against, quiet));
  pipeline::Collaboration collaboration(pool, pipeline::open_gate(gate.file, pool), gate.fusion,
                                        gate.top_k);
  std::vector<evaluation::DomainFigures> domains;
  evaluation::Baselines none;
  for (const data::Dataset& dataset : datasets)
    domains.push_back(evaluation::run_domain(collaboration, gate.file, dataset, none,
                                             evaluation::Arrangement::kShared, options.seed));
  evaluation::compare_precisions(evaluation::paired_answers(domains, figures.domains),
                                 evaluation::untested_spaces(figures), record);

  const std::vector<std::string_view> texts = timed_texts(datasets);
  const auto seconds = measure(pool, {record.against, record.precision}, texts, quiet);
  record.texts_per_second_against = static_cast<double>(texts.size()) / seconds[0];
  record.texts_per_second = static_cast<double>(texts.size()) / seconds[1];

  const fs::path file =
      registry::precision_file(options.registry, name(record.precision), record.use.cpu_class);
  Json json = registry::to_json(record);
  json["command"] = options.command;
  make_folder(file.parent_path());
  write_file_atomic(file, to_text(json));
  json["file"] = file.string();
  return json;
}

}  // namespace moecollab::engine
