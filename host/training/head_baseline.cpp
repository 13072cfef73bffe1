#include "training/head_baseline.h"

#include "base/measure.h"
#include "data/hold_out.h"
#include "pipeline/collaboration.h"
#include "pipeline/gate_file.h"
#include "pipeline/targets.h"

namespace moecollab::training {
namespace {

// What the gate reads, so that both learn from the same features.
std::vector<encoder::PooledKey> features_of_gate(const pipeline::Pool& pool) {
  const fs::path& registry = pool.options().registry;
  if (fs::exists(registry::gate_file(registry))) return pipeline::read_gate(pool).gate.features;
  pool.context().log.note("no gate is fitted yet; the head reads what a gate reads by default");
  return gate::default_features(pool.encoder()->config().layers);
}

HeadData collect(pipeline::Pool& pool, const std::vector<data::Dataset>& datasets,
                 const std::vector<encoder::PooledKey>& features) {
  std::vector<std::string_view> texts;
  std::vector<int64_t> targets;
  HeadData data;
  for (const data::Dataset& dataset : datasets) {
    const int space = pool.space_of_domain(dataset.domain);
    for (const int id : pipeline::target_ids(dataset, pool.labels(), space)) targets.push_back(id);
    for (const std::string_view text : pipeline::text_views(dataset)) texts.push_back(text);
    for (const bool held : data::held_out(dataset)) data.held_out.push_back(held);
  }
  encoder::FeatureRequest request;
  request.pooled.insert(features.begin(), features.end());
  data.z = gate::side_by_side(
      features, pipeline::features_of(pool, texts, request, "encoding training texts"));
  data.targets = encoder::index_tensor(targets);
  return data;
}

}  // namespace

HeadTrained train_head(const std::vector<data::Dataset>& datasets, pipeline::Pool& pool,
                       const HeadTrainingOptions& options) {
  const fs::path& registry = pool.options().registry;
  const auto features = features_of_gate(pool);
  const HeadData data = collect(pool, datasets, features);
  const Stopwatch watch;
  HeadTrained trained;
  trained.fit = fit_head(data, features, pool.labels().size(), options, pool.context());
  trained.seconds = watch.seconds();
  trained.labels = pool.labels().size();
  trained.file = registry::head_baseline(registry);

  HeadFile head;
  head.linear = trained.fit.linear;
  head.encoder_fingerprint = pool.encoder()->fingerprint();
  head.spaces = pool.labels().spaces();
  for (const data::Dataset& dataset : datasets) head.data[dataset.domain] = dataset.sha256;
  head.seed = options.seed;
  head.epochs = trained.fit.epochs;
  head.texts = trained.fit.texts;
  head.held_out_accuracy = trained.fit.held_out_accuracy;
  for (const data::Dataset& dataset : datasets) data::require_unchanged(dataset);
  write_head(registry, head);
  return trained;
}

}  // namespace moecollab::training
