#include "training/gate_data.h"

#include <fmt/format.h>

#include "base/error.h"
#include "data/hold_out.h"
#include "training/text_collection.h"

namespace moecollab::training {
namespace {

// In the files' order.
struct Split {
  std::vector<ChosenTexts> held_out, others;
};

Split split(const pipeline::Pool& pool, const std::vector<data::Dataset>& training) {
  Split parts;
  for (const data::Dataset& dataset : training) {
    const ChosenTexts none{&dataset, pool.space_of_domain(dataset.domain), {}};
    parts.held_out.push_back(none);
    parts.others.push_back(none);
    const std::vector<bool> held = data::held_out(dataset);
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
                           const std::vector<encoder::PooledKey>& keys) {
  data::require_held_out(training);
  std::vector<pipeline::InstalledExpert*> experts;
  for (pipeline::InstalledExpert& expert : pool.experts()) experts.push_back(&expert);
  const Split chosen = split(pool, training);
  GateData data;
  data.held_out = collect_answered_texts(pool, pool.labels(), experts, keys, chosen.held_out,
                                         "encoding held-out texts");
  number_by_file(chosen.held_out, data.held_out);
  warn_of_seen(pool, data.held_out);
  data.others = collect_unanswered_texts(pool, {}, keys, chosen.others, "encoding training texts");
  return data;
}

}  // namespace moecollab::training
