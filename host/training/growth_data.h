// Where the texts of a growth come from: training files, and rows kept from before.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "pipeline/gate_file.h"
#include "training/growth.h"
#include "training/replay_file.h"

namespace moecollab::training {

// Texts of several domains with everything that growth reads, and who they are.
struct GrowthRows {
  GrowthTexts texts;
  std::vector<std::string> domains;  // names
  std::vector<int> domain_of;        // [n] indices into these
  std::vector<int64_t> unknown;      // per expert: texts that it may have trained on

  // Number of the domain of that name; −1 where none of the texts is of it.
  int index_of(const std::string& domain) const;
};

// Chosen examples of one domain's file, and the label space that it answers in.
struct ChosenTexts {
  const data::Dataset* dataset;
  int space;
  std::vector<int64_t> examples;
};

// The dataset's examples: the held-out ones shuffled by the seed, then the others likewise.
std::vector<int64_t> held_out_first(const data::Dataset& dataset, uint64_t seed, int64_t& held_out);

// Encodes the texts and asks the experts (those of the gate's rows, then the new ones) about them;
// z has no columns where `features` is empty. Throws E_DATA for a label that the domain's space in
// `labels` does not hold.
GrowthRows collect_growth_rows(pipeline::Pool& pool, const fusion::LabelUnion& labels,
                               const std::vector<pipeline::InstalledExpert*>& experts,
                               const std::vector<encoder::PooledKey>& features,
                               const std::vector<ChosenTexts>& chosen);

// Encodes the texts without asking anybody: targets are −1 and logits zero, for what only reads
// where a text is from.
GrowthRows collect_unanswered_rows(pipeline::Pool& pool,
                                   const std::vector<pipeline::InstalledExpert*>& experts,
                                   const std::vector<encoder::PooledKey>& features,
                                   const std::vector<ChosenTexts>& chosen);

// The kept rows of domains that `covered` does not name, for these experts. Throws E_GATE for rows
// of another encoder or other features, or of labels that the union does not hold.
GrowthRows kept_rows(const KeptReplay& kept, const pipeline::Pool& pool,
                     const std::vector<pipeline::InstalledExpert*>& experts,
                     const std::vector<encoder::PooledKey>& features,
                     const std::set<std::string>& covered);

// One behind the other; domains of equal names become one.
GrowthRows joined(const GrowthRows& a, const GrowthRows& b);

// What a file keeps of these rows, at most `texts` a domain, in their order.
KeptReplay to_replay(const GrowthRows& rows, const pipeline::Pool& pool,
                     const std::vector<pipeline::InstalledExpert*>& experts,
                     const std::vector<encoder::PooledKey>& features, int64_t texts);

}  // namespace moecollab::training
