#include "training/gate_data.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "base/console.h"
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

// Logits of one expert on all texts, with a warning where it may have trained on some.
at::Tensor collect_logits(pipeline::Pool& pool, pipeline::InstalledExpert& expert,
                          const encoder::Features& features, const HeldOutTexts& texts,
                          const std::vector<data::Dataset>& training, bool& known) {
  std::vector<bool> own;
  for (const int domain : texts.domains)
    own.push_back(training[static_cast<size_t>(domain)].domain == expert.domain());
  const HonestLogits honest = honest_logits(pool, expert, features, own);
  known = honest.unknown == 0;
  if (!known) {
    print_warning(
        fmt::format("expert {} has no held-out logits for {} texts of its own domain; it may have "
                    "trained on them, "
                    "and then the gate trusts it too much",
                    expert.name, honest.unknown));
  }
  return honest.logits;
}

}  // namespace

GateData collect_gate_data(pipeline::Pool& pool, const std::vector<data::Dataset>& training,
                           const std::vector<encoder::PooledKey>& keys) {
  const at::NoGradGuard no_grad;
  const HeldOutTexts texts = held_out_texts(pool, training);
  encoder::FeatureRequest request;
  request.pooled.insert(keys.begin(), keys.end());
  for (const pipeline::InstalledExpert& expert : pool.experts())
    request.merge(expert.expert.request());
  const encoder::Features features =
      pipeline::features_of(pool, texts.texts, request, "encoding held-out texts");

  encoder::FeatureRequest gate_request;
  gate_request.pooled.insert(keys.begin(), keys.end());
  GateData data;
  data.routing_z = gate::side_by_side(
      keys,
      pipeline::features_of(pool, texts.other_texts, gate_request, "encoding training texts"));
  data.routing_spaces = encoder::index_tensor(texts.other_spaces);
  data.z = gate::side_by_side(keys, features);
  data.targets = encoder::index_tensor(texts.targets);
  data.domains = texts.domains;
  for (pipeline::InstalledExpert& expert : pool.experts()) {
    bool known = false;
    data.logits.push_back(collect_logits(pool, expert, features, texts, training, known));
    data.heldout_known.push_back(known);
  }
  return data;
}

}  // namespace moecollab::training
