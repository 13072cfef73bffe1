#include "training/gate_data.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/console.h"
#include "data/hold_out.h"
#include "gate/gate.h"
#include "pipeline/collaboration.h"
#include "pipeline/targets.h"
#include "training/held_out_file.h"

namespace moecollab::training {
namespace {

// The held-out texts of all domains, one behind the other.
struct HeldOutTexts {
  std::vector<std::string_view> texts;
  std::vector<Digest> digests;
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
      out.digests.push_back(sha256(dataset.examples[i].text));
      out.targets.push_back(ids[i]);
      out.domains.push_back(static_cast<int>(d));
    }
  }
  return out;
}

// One expert's logits [N, C] as far as they are on disk, and the rows that it must still be asked
// for.
struct KnownLogits {
  at::Tensor logits;
  std::vector<int64_t> to_run;
  int64_t unknown = 0;  // texts of its own domain without held-out logits
};

// What an expert's output depends on beside the text.
std::string output_key(const pipeline::Pool& pool, const pipeline::InstalledExpert& expert) {
  Json config = Json::object();
  for (const registry::ExpertEntry& entry : pool.registry().experts) {
    if (entry.name == expert.name) config = entry.config;
  }
  return fmt::format("output of package {}\nconfig {}\nencoder {}", expert.sha256(),
                     to_line(config), pool.encoder()->fingerprint());
}

bool outputs_are_cached(const pipeline::Pool& pool, const pipeline::InstalledExpert& expert) {
  return pool.options().cache != nullptr && pool.encoder() != nullptr &&
         expert.package.manifest.output.deterministic;
}

// Held-out logits where there are any, else what the expert answered in an earlier run.
KnownLogits known_logits(const pipeline::Pool& pool, const pipeline::InstalledExpert& expert,
                         const HeldOutTexts& texts, const std::vector<data::Dataset>& training) {
  const int64_t classes = expert.expert.classes();
  const auto stored =
      read_held_out(held_out_path(pool.options().registry, expert.sha256()), classes);
  const std::string key = outputs_are_cached(pool, expert) ? output_key(pool, expert) : "";
  KnownLogits known;
  known.logits = at::zeros({static_cast<int64_t>(texts.texts.size()), classes});
  for (size_t i = 0; i < texts.texts.size(); ++i) {
    const auto row = static_cast<int64_t>(i);
    float* into = known.logits.mutable_data_ptr<float>() + row * classes;
    if (const auto at = stored ? stored->find(texts.digests[i]) : std::nullopt) {
      std::copy_n(stored->logits.const_data_ptr<float>() + *at * classes, classes, into);
      continue;
    }
    if (training[static_cast<size_t>(texts.domains[i])].domain == expert.domain()) ++known.unknown;
    const float* cached =
        key.empty() ? nullptr : pool.options().cache->find(key, {}, classes, texts.digests[i]);
    if (cached == nullptr) {
      known.to_run.push_back(row);
    } else {
      std::copy_n(cached, classes, into);
    }
  }
  if (known.unknown > 0) {
    print_warning(
        fmt::format("expert {} has no held-out logits for {} texts of its own domain; it may have "
                    "trained on them, and then the gate trusts it too much",
                    expert.name, known.unknown));
  }
  return known;
}

// Asks the expert for the rows that are missing, and keeps finite answers for the next run.
void run_missing(pipeline::Pool& pool, pipeline::InstalledExpert& expert,
                 const encoder::Features& features, const HeldOutTexts& texts, KnownLogits& known) {
  if (known.to_run.empty()) return;
  const at::Tensor logits =
      pipeline::ask_expert(expert, features, known.to_run, pool.registry().policy.nan);
  known.logits.index_copy_(0, encoder::index_tensor(known.to_run), logits);
  if (!outputs_are_cached(pool, expert) || !logits.isfinite().all().item<bool>()) return;
  std::vector<std::string_view> asked;
  for (const int64_t row : known.to_run) asked.push_back(texts.texts[static_cast<size_t>(row)]);
  pool.options().cache->add(output_key(pool, expert), {}, asked, logits);
}

}  // namespace

GateData collect_gate_data(pipeline::Pool& pool, const std::vector<data::Dataset>& training,
                           const std::vector<encoder::PooledKey>& keys) {
  const at::NoGradGuard no_grad;
  const HeldOutTexts texts = held_out_texts(pool, training);
  encoder::FeatureRequest gate_request;
  gate_request.pooled.insert(keys.begin(), keys.end());
  encoder::FeatureRequest request = gate_request;
  std::vector<KnownLogits> known;
  for (const pipeline::InstalledExpert& expert : pool.experts()) {
    known.push_back(known_logits(pool, expert, texts, training));
    if (!known.back().to_run.empty()) request.merge(expert.expert.request());
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
    run_missing(pool, pool.experts()[e], features, texts, known[e]);
    data.logits.push_back(known[e].logits);
    data.heldout_known.push_back(known[e].unknown == 0);
  }
  return data;
}

}  // namespace moecollab::training
