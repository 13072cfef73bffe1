#include "training/growth_data.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/strings.h"
#include "data/hold_out.h"
#include "pipeline/collaboration.h"
#include "pipeline/targets.h"
#include "training/honest_logits.h"
#include "training/shuffle.h"

namespace moecollab::training {
namespace {

// Streams of the seed that no training epoch uses.
constexpr int64_t kHeldOutStream = -2, kOtherStream = -3;

// Index of the name, added where it is new.
int index_of(std::vector<std::string>& names, const std::string& name) {
  const auto it = std::find(names.begin(), names.end(), name);
  if (it != names.end()) return static_cast<int>(it - names.begin());
  names.push_back(name);
  return static_cast<int>(names.size()) - 1;
}

void append_shuffled(const std::vector<int64_t>& from, uint64_t seed, int64_t stream,
                     std::vector<int64_t>& to) {
  for (const int64_t i : shuffled(static_cast<int64_t>(from.size()), seed, stream))
    to.push_back(from[static_cast<size_t>(i)]);
}

// What a gate with these features reads; no columns where there is no gate.
at::Tensor read_by_gate(const std::vector<encoder::PooledKey>& features,
                        const encoder::Features& encoded) {
  return features.empty() ? at::zeros({encoded.rows(), 0}) : gate::side_by_side(features, encoded);
}

at::Tensor unknown_logits(int64_t rows, int64_t classes) {
  return at::full({rows, classes}, std::numeric_limits<float>::quiet_NaN(), at::kFloat);
}

// Global id of a kept label.
int64_t kept_target(const std::pair<std::string, std::string>& kept,
                    const fusion::LabelUnion& labels) {
  const auto& [space, label] = kept;
  const auto index = labels.find(space);
  if (const auto id = index ? labels.id(*index, label) : std::nullopt) return *id;
  throw Error("E_GATE",
              fmt::format("the kept replay has label \"{}\" of space {}, which no installed expert "
                          "answers in",
                          escaped(label, 80), escaped(space, 80)),
              "fit the gate again with `moecollab train-gate`");
}

}  // namespace

int GrowthRows::index_of(const std::string& domain) const {
  const auto it = std::find(domains.begin(), domains.end(), domain);
  return it == domains.end() ? -1 : static_cast<int>(it - domains.begin());
}

std::vector<int64_t> held_out_first(const data::Dataset& dataset, uint64_t seed,
                                    int64_t& held_out) {
  const std::vector<bool> chosen = data::held_out(dataset);
  std::vector<int64_t> held, others, order;
  for (size_t i = 0; i < chosen.size(); ++i)
    (chosen[i] ? held : others).push_back(static_cast<int64_t>(i));
  held_out = static_cast<int64_t>(held.size());
  append_shuffled(held, seed, kHeldOutStream, order);
  append_shuffled(others, seed, kOtherStream, order);
  return order;
}

GrowthRows collect_growth_rows(pipeline::Pool& pool, const fusion::LabelUnion& labels,
                               const std::vector<pipeline::InstalledExpert*>& experts,
                               const std::vector<encoder::PooledKey>& features,
                               const std::vector<ChosenTexts>& chosen) {
  const at::NoGradGuard no_grad;
  GrowthRows rows;
  std::vector<std::string_view> texts;
  std::vector<int64_t> targets, spaces;
  for (const ChosenTexts& part : chosen) {
    if (part.examples.empty()) continue;
    const data::Dataset& dataset = *part.dataset;
    const std::vector<int> ids = pipeline::target_ids(dataset, labels, part.space);
    const int domain = index_of(rows.domains, dataset.domain);
    for (const int64_t i : part.examples) {
      texts.push_back(dataset.examples[static_cast<size_t>(i)].text);
      targets.push_back(ids[static_cast<size_t>(i)]);
      spaces.push_back(part.space);
      rows.domain_of.push_back(domain);
    }
  }
  if (texts.empty()) return rows;
  encoder::FeatureRequest request;
  request.pooled.insert(features.begin(), features.end());
  std::vector<HonestLogits> answers;
  for (const pipeline::InstalledExpert* expert : experts) {
    std::vector<bool> own;
    for (const int domain : rows.domain_of)
      own.push_back(rows.domains[static_cast<size_t>(domain)] == expert->domain());
    answers.push_back(known_logits(pool, *expert, texts, own));
    if (!answers.back().to_run.empty()) request.merge(expert->expert->request());
  }
  const encoder::Features encoded = pipeline::features_of(pool, texts, request, "encoding texts");
  rows.texts.z = read_by_gate(features, encoded);
  rows.texts.targets = encoder::index_tensor(targets);
  rows.texts.spaces = encoder::index_tensor(spaces);
  for (size_t e = 0; e < experts.size(); ++e) {
    ask_missing(pool, *experts[e], encoded, answers[e]);
    rows.texts.logits.push_back(std::move(answers[e].logits));
    rows.unknown.push_back(answers[e].unknown);
  }
  return rows;
}

GrowthRows collect_unanswered_rows(pipeline::Pool& pool,
                                   const std::vector<pipeline::InstalledExpert*>& experts,
                                   const std::vector<encoder::PooledKey>& features,
                                   const std::vector<ChosenTexts>& chosen) {
  const at::NoGradGuard no_grad;
  GrowthRows rows;
  std::vector<std::string_view> texts;
  std::vector<int64_t> spaces;
  for (const ChosenTexts& part : chosen) {
    for (const int64_t i : part.examples) {
      texts.push_back(part.dataset->examples[static_cast<size_t>(i)].text);
      spaces.push_back(part.space);
      rows.domain_of.push_back(index_of(rows.domains, part.dataset->domain));
    }
  }
  if (texts.empty()) return rows;
  const auto n = static_cast<int64_t>(texts.size());
  encoder::FeatureRequest request;
  request.pooled.insert(features.begin(), features.end());
  rows.texts.z =
      read_by_gate(features, pipeline::features_of(pool, texts, request, "encoding texts"));
  rows.texts.targets = at::full({n}, -1, at::kLong);
  rows.texts.spaces = encoder::index_tensor(spaces);
  for (const pipeline::InstalledExpert* expert : experts)
    rows.texts.logits.push_back(at::zeros({n, expert->expert->classes()}));
  rows.unknown.assign(experts.size(), 0);
  return rows;
}

GrowthRows kept_rows(const KeptReplay& kept, const pipeline::Pool& pool,
                     const std::vector<pipeline::InstalledExpert*>& experts,
                     const std::vector<encoder::PooledKey>& features,
                     const std::set<std::string>& covered) {
  if (kept.encoder_fingerprint != pool.encoder()->fingerprint() || kept.features != features) {
    throw Error("E_GATE", "the kept replay is of another encoder, or of other layers than the gate",
                "fit the gate again with `moecollab train-gate --keep-replay N`");
  }
  GrowthRows rows;
  std::vector<int64_t> chosen, targets, spaces;
  for (int64_t i = 0; i < kept.rows(); ++i) {
    const auto at = static_cast<size_t>(i);
    const std::string& domain = kept.domains[static_cast<size_t>(kept.domain_of[at])];
    if (covered.contains(domain)) continue;
    chosen.push_back(i);
    targets.push_back(
        kept_target(kept.labels[static_cast<size_t>(kept.label_of[at])], pool.labels()));
    spaces.push_back(pool.labels().space_of(static_cast<int>(targets.back())));
    rows.domain_of.push_back(index_of(rows.domains, domain));
  }
  if (chosen.empty()) return rows;
  const at::Tensor index = encoder::index_tensor(chosen);
  rows.texts.z = kept.z.index_select(0, index);
  rows.texts.targets = encoder::index_tensor(targets);
  rows.texts.spaces = encoder::index_tensor(spaces);
  for (const pipeline::InstalledExpert* expert : experts) {
    const auto it = kept.logits.find(expert->sha256());
    const int64_t classes = expert->expert->classes();
    const bool fits = it != kept.logits.end() && it->second.size(1) == classes;
    rows.texts.logits.push_back(fits
                                    ? it->second.index_select(0, index)
                                    : unknown_logits(static_cast<int64_t>(chosen.size()), classes));
    rows.unknown.push_back(0);
  }
  return rows;
}

GrowthRows joined(const GrowthRows& a, const GrowthRows& b) {
  if (b.domain_of.empty()) return a;
  if (a.domain_of.empty()) return b;
  GrowthRows out = a;
  out.texts.z = at::cat({a.texts.z, b.texts.z});
  out.texts.spaces = at::cat({a.texts.spaces, b.texts.spaces});
  out.texts.targets = at::cat({a.texts.targets, b.texts.targets});
  for (size_t e = 0; e < out.texts.logits.size(); ++e) {
    out.texts.logits[e] = at::cat({a.texts.logits[e], b.texts.logits[e]});
    out.unknown[e] += b.unknown[e];
  }
  for (const int domain : b.domain_of)
    out.domain_of.push_back(index_of(out.domains, b.domains[static_cast<size_t>(domain)]));
  return out;
}

KeptReplay to_replay(const GrowthRows& rows, const pipeline::Pool& pool,
                     const std::vector<pipeline::InstalledExpert*>& experts,
                     const std::vector<encoder::PooledKey>& features, int64_t texts) {
  KeptReplay kept;
  kept.encoder_fingerprint = pool.encoder()->fingerprint();
  kept.features = features;
  kept.domains = rows.domains;
  const fusion::LabelUnion& labels = pool.labels();
  for (int id = 0; id < labels.size(); ++id)
    kept.labels.emplace_back(labels.spaces()[static_cast<size_t>(labels.space_of(id))].name,
                             labels.label(id));
  std::vector<int64_t> chosen, count(rows.domains.size(), 0);
  for (size_t i = 0; i < rows.domain_of.size(); ++i) {
    if (++count[static_cast<size_t>(rows.domain_of[i])] > texts) continue;
    chosen.push_back(static_cast<int64_t>(i));
    kept.domain_of.push_back(rows.domain_of[i]);
    kept.label_of.push_back(rows.texts.targets[static_cast<int64_t>(i)].item<int64_t>());
  }
  const at::Tensor index = encoder::index_tensor(chosen);
  kept.z = rows.texts.z.index_select(0, index);
  for (size_t e = 0; e < experts.size(); ++e)
    kept.logits[experts[e]->sha256()] = rows.texts.logits[e].index_select(0, index);
  return kept;
}

}  // namespace moecollab::training
