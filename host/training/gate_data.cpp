#include "training/gate_data.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "data/hold_out.h"
#include "gate/gate.h"
#include "pipeline/collaboration.h"
#include "pipeline/targets.h"
#include "training/honest_logits.h"

namespace moecollab::training {
namespace {

// The held-out texts of all domains, one behind the other.
struct HeldOutTexts {
  std::vector<std::string_view> texts;
  std::vector<int64_t> targets;
  std::vector<int> domains;
  std::vector<std::string_view> other_texts;  // not held out
  std::vector<int64_t> other_spaces;
};

HeldOutTexts held_out_texts(const pipeline::Pool& pool,
                            const std::vector<data::Dataset>& training) {
  HeldOutTexts out;
  for (size_t d = 0; d < training.size(); ++d) {
    const data::Dataset& dataset = training[d];
    const int space = pool.space_of_domain(dataset.domain);
    const std::vector<int> ids = pipeline::target_ids(dataset, pool.labels(), space);
    const std::vector<bool> chosen = data::held_out(dataset);
    for (size_t i = 0; i < ids.size(); ++i) {
      if (!chosen[i]) {
        out.other_texts.push_back(dataset.examples[i].text);
        out.other_spaces.push_back(space);
        continue;
      }
      out.texts.push_back(dataset.examples[i].text);
      out.targets.push_back(ids[i]);
      out.domains.push_back(static_cast<int>(d));
    }
  }
  return out;
}

// What is known of one expert's logits, with a warning where it may have trained on some texts.
HonestLogits held_out_logits(const pipeline::Pool& pool, const pipeline::InstalledExpert& expert,
                             const HeldOutTexts& texts,
                             const std::vector<data::Dataset>& training) {
  std::vector<bool> own;
  for (const int domain : texts.domains)
    own.push_back(training[static_cast<size_t>(domain)].domain == expert.domain());
  HonestLogits known = known_logits(pool, expert, texts.texts, own);
  if (known.unknown > 0) {
    pool.context().log.warning(
        fmt::format("expert {} has no held-out logits for {} texts of its own domain; it may have "
                    "trained on them, and then the gate trusts it too much",
                    expert.name, known.unknown));
  }
  return known;
}

}  // namespace

GateData collect_gate_data(pipeline::Pool& pool, const std::vector<data::Dataset>& training,
                           const std::vector<encoder::PooledKey>& keys) {
  const at::NoGradGuard no_grad;
  const HeldOutTexts texts = held_out_texts(pool, training);
  encoder::FeatureRequest gate_request;
  gate_request.pooled.insert(keys.begin(), keys.end());
  encoder::FeatureRequest request = gate_request;
  std::vector<HonestLogits> known;
  for (const pipeline::InstalledExpert& expert : pool.experts()) {
    known.push_back(held_out_logits(pool, expert, texts, training));
    if (!known.back().to_run.empty()) request.merge(expert.expert->request());
  }
  const encoder::Features features =
      pipeline::features_of(pool, texts.texts, request, "encoding held-out texts");

  GateData data;
  data.routing_z = gate::side_by_side(
      keys,
      pipeline::features_of(pool, texts.other_texts, gate_request, "encoding training texts"));
  data.routing_spaces = encoder::index_tensor(texts.other_spaces);
  data.z = gate::side_by_side(keys, features);
  data.targets = encoder::index_tensor(texts.targets);
  data.domains = texts.domains;
  for (size_t e = 0; e < known.size(); ++e) {
    ask_missing(pool, pool.experts()[e], features, known[e]);
    data.logits.push_back(known[e].logits);
    data.heldout_known.push_back(known[e].unknown == 0);
  }
  return data;
}

}  // namespace moecollab::training
