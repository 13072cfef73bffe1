#include "training/gate_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "data/hold_out.h"
#include "training/held_out_file.h"
#include "training/text_collection.h"

namespace moecollab::training {
namespace {

// What registry/heldout/ holds of an expert.
struct KnownTexts {
  const std::string& domain;
  HeldOutLogits answers;
  std::set<Digest> seen;  // of its training file
};

std::vector<KnownTexts> known_texts(pipeline::Pool& pool) {
  std::vector<KnownTexts> known;
  for (const pipeline::InstalledExpert& expert : pool.experts()) {
    auto stored = read_held_out(registry::held_out_file(pool.options().registry, expert.sha256()),
                                expert.expert->classes());
    known.push_back({expert.domain(), stored ? *std::move(stored) : HeldOutLogits{}, {}});
    known.back().seen.insert(known.back().answers.seen.begin(), known.back().answers.seen.end());
  }
  return known;
}

// For each example, whether every expert of the domain, and every other one that has learnt the
// text, has answered it by a model that did not. None if the domain has no expert.
std::vector<bool> cross_fitted_texts(const std::vector<KnownTexts>& known,
                                     const data::Dataset& dataset) {
  const bool has_expert = std::ranges::any_of(
      known, [&](const KnownTexts& expert) { return expert.domain == dataset.domain; });
  std::vector<bool> result;
  for (const data::Example& example : dataset.examples) {
    const Digest text = sha256(example.text);
    result.push_back(has_expert && std::ranges::all_of(known, [&](const KnownTexts& expert) {
                       const bool may_know =
                           expert.domain == dataset.domain || expert.seen.contains(text);
                       return !may_know || expert.answers.find(text).has_value();
                     }));
  }
  return result;
}

// In the files' order.
struct Split {
  std::vector<ChosenTexts> held_out, others;
};

Split split(pipeline::Pool& pool, const std::vector<data::Dataset>& training, bool cross_fitted) {
  Split parts;
  const std::vector<KnownTexts> known =
      cross_fitted ? known_texts(pool) : std::vector<KnownTexts>();
  for (const data::Dataset& dataset : training) {
    const ChosenTexts none{&dataset, pool.space_of_domain(dataset.domain), {}};
    parts.held_out.push_back(none);
    parts.others.push_back(none);
    std::vector<bool> held = data::held_out(dataset);
    if (cross_fitted) {
      const std::vector<bool> answered = cross_fitted_texts(known, dataset);
      for (size_t i = 0; i < held.size(); ++i) held[i] = held[i] || answered[i];
    }
    for (size_t i = 0; i < held.size(); ++i) {
      ChosenTexts& part = (held[i] ? parts.held_out : parts.others).back();
      part.examples.push_back(static_cast<int64_t>(i));
    }
  }
  return parts;
}

// The domains' numbers are those of the files, also of a file without a text among these.
void number_by_file(const std::vector<ChosenTexts>& chosen, AnsweredTexts& texts) {
  texts.domains.clear();
  texts.domain_of.clear();
  for (size_t d = 0; d < chosen.size(); ++d) {
    texts.domains.push_back(chosen[d].dataset->domain);
    texts.domain_of.insert(texts.domain_of.end(), chosen[d].examples.size(), static_cast<int>(d));
  }
}

void warn_of_seen(pipeline::Pool& pool, const AnsweredTexts& texts) {
  for (size_t e = 0; e < texts.seen.size(); ++e) {
    if (texts.seen[e] == 0) continue;
    pool.context().log.warning(
        fmt::format("expert {} has no held-out logits for {} texts of its own domain; it may have "
                    "trained on them, and then the gate trusts it too much",
                    pool.experts()[e].name, texts.seen[e]));
  }
}

}  // namespace

GateData collect_gate_data(pipeline::Pool& pool, const std::vector<data::Dataset>& training,
                           const std::vector<encoder::PooledKey>& keys, bool cross_fitted) {
  data::require_held_out(training);
  const Split chosen = split(pool, training, cross_fitted);
  GateData data;
  data.held_out = collect_answered_texts(pool, pool.labels(), pool.all_experts(), keys,
                                         chosen.held_out, "encoding held-out texts");
  number_by_file(chosen.held_out, data.held_out);
  warn_of_seen(pool, data.held_out);
  data.others = collect_unanswered_texts(pool, {}, keys, chosen.others, "encoding training texts");
  return data;
}

}  // namespace moecollab::training
