// What an evaluation found, as plain values: all that a report is made from.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "evaluation/arrangement.h"
#include "evaluation/drift.h"
#include "fusion/label_space.h"

namespace moecollab::evaluation {

// What one expert says alone of texts of its own space that it was asked for and whose label it
// knows, n of them.
struct OwnAnswers {
  int expert = 0;  // its row of the gate
  std::vector<int> truth, answer;
  std::vector<double> confidence;  // of `answer`, at the temperature of the gate's row
};

// A text that either the collaboration or the domain's best expert answers right. Labels are global
// ids.
struct ChangedAnswer {
  int64_t line = 0;  // of the domain's file
  std::string text;
  int truth = 0, answer = 0, expert_answer = 0;
  std::vector<double> shares;           // [E] of the gate
  std::vector<std::optional<int>> own;  // [E] what each says alone; none: it was not asked

  bool fixed() const { return answer == truth; }
};

// One domain's texts, and what every system said of them. Vectors are [n], n >= 1, in the order of
// the texts, and labels are global ids, unless a comment says otherwise.
struct DomainFigures {
  std::string domain;
  std::string sha256;                    // of the file that was evaluated
  std::optional<int64_t> train_overlap;  // texts that training saw too; none: not known
  int64_t truncated = 0;                 // texts longer than the encoder takes
  int space = 0;
  std::vector<int> truth;
  std::vector<int> answer;         // over the union; empty if the fusion has no such answer
  std::vector<int> answer_aware;   // over the domain's own space
  std::vector<double> confidence;  // of `answer`
  std::vector<double> gate;        // [n, E]
  // [spaces] of [n]: nats of the gate's shares, had it no expert of that label space. Empty if it
  // has none of it, or no other.
  std::vector<std::vector<double>> entropy_without;
  std::string best_expert;         // of the domain, by accuracy on held-out training texts
  std::vector<int> expert_answer;  // that expert alone
  std::vector<int> baseline;       // untrained head on the gate's features
  std::vector<int> majority;       // the label most frequent in these texts
  // Every expert the same share, through the same fusion, over the union. Empty if an expert's
  // answers are missing (top-k) or the fusion has no such answer.
  std::vector<int> uniform_gate;
  // The experts of the domain's own space, each the same share, over that space. Empty if one of
  // them was not asked for every text.
  std::vector<int> equal_shares;
  // Over the union; empty if there is no such model.
  std::vector<int> multi_task_head, multi_task_deep;
  std::vector<OwnAnswers> own;          // of the experts of the domain's space
  std::vector<ChangedAnswer> examples;  // some of the texts
  Profile profile;                      // of these texts
};

// How steady the gate's routing is, on some of the texts.
struct RoutingProbes {
  int64_t texts = 0;
  double batch_change = 0;  // the greatest change of a share if a text is encoded alone
  double batch_moved = 0;   // the share of texts that then go to another label space
  int64_t edits = 0;        // near duplicates of the texts
  double edits_moved = 0;   // the share of these that go to another label space than their text
};

// The gate's settings and its E rows.
struct GateFigures {
  std::string fusion, fitted_fusion;  // names: the one used, and the one the gate was fitted under
  int64_t top_k = 0;                  // 0: all experts
  double lambda1 = 0, lambda2 = 0;    // of the objective
  std::vector<std::string> experts;   // [E] names
  std::vector<int> space_of_expert;   // [E] indices of label spaces
  // [E] accuracy on held-out training texts of its own space; NaN: not recorded.
  std::vector<double> held_out_accuracy = {};
  std::vector<int64_t> held_out_texts = {};  // [E] how many those were; 0: not recorded
  // Under `paper` and `masked`, of the narrowest expert beside the widest: padding_gradients().
  Json padding = nullptr;
  std::optional<RoutingProbes> probes = {};  // none: they were not asked for
};

// How deep the encoder's passes went: each to the deepest layer that the gate or one of the text's
// own experts reads. Operations and layers are summed over all texts.
struct CascadeFigures {
  int gate_layer = 0, deepest_layer = 0;  // that the gate, and that it or any expert reads
  int encoder_layers = 0;                 // that the encoder has
  double flops = 0;                       // of these passes
  double flops_without = 0;               // of passes to the deepest layer
  int64_t layers = 0;                     // that were run
  int64_t stopped = 0;                    // texts that went no deeper than the gate
};

// Costs. Operations (2 per multiply-add) are summed over all texts, except for the gate's.
struct ComputeFigures {
  int64_t tokens = 0;            // real ones, special tokens included, after truncation
  double encoder_flops = 0;      // one pass over each text, all layers
  double expert_flops = 0;       // of the experts that the gate sent each text to
  double all_experts_flops = 0;  // of every expert on every text
  double gate_flops = 0;         // of one text
  int encoder_experts = 0;       // experts that read the encoder's features
  int64_t forwards = 0;          // texts that went through the encoder
  int64_t cache_hits = 0;        // texts whose features were cached
  double seconds = 0;            // of the whole run
  int64_t peak_rss_bytes = 0;    // of the process
  double best_expert_flops = 0;  // of the domain's best expert alone, with its own pass
  // The multi-task models, each with its own pass; none: there is no such model.
  std::optional<double> head_flops = {}, deep_flops = {};
  CascadeFigures cascade = {};
  Arrangement arrangement = Arrangement::kShared;
};

// An expert that registry.toml names or that lies in the registry, ready or not.
struct ExpertFigures {
  std::string name, state, isolation;
  std::optional<std::string> version, sha256;  // none if its package cannot be read
  std::optional<std::string> code;             // of its refusal
  int64_t calls = 0;                           // rows that it answered
  int64_t cached = 0;                          // of these, in an earlier run
  int64_t faults = 0;
  double seconds = 0;  // that its answers of this run took
};

struct ProvenanceFigures {
  std::string version, libtorch;  // of this program, of its tensor library
  std::string device, precision;
  int threads = 1;
  uint64_t seed = 1;  // of the untrained baseline
  std::string encoder_sha256;
  std::optional<std::string> registry_lock_sha256;  // none: the registry has no lock
  std::string command;
};

struct Figures {
  fusion::LabelUnion labels;
  std::vector<DomainFigures> domains;  // at least one
  GateFigures gate;
  Json training;  // training_json(): a history that is damaged is refused before the run
  std::optional<Drift> drift;  // from the texts that the gate was fitted on; none: not comparable
  Json monitored = Json::array();  // lines of the monitor's file, this run's last
  ComputeFigures compute;
  std::vector<ExpertFigures> experts;
  std::vector<std::string> notes;  // why a figure is null
  ProvenanceFigures provenance;
};

// A vector of all domains, one after another.
template <typename T>
std::vector<T> joined(const std::vector<DomainFigures>& domains,
                      std::vector<T> DomainFigures::*member) {
  std::vector<T> all;
  for (const DomainFigures& domain : domains)
    all.insert(all.end(), (domain.*member).begin(), (domain.*member).end());
  return all;
}

// The index of each text's domain, all domains' texts one after another.
std::vector<int> domain_of_texts(const std::vector<DomainFigures>& domains);

// Null for a value that is not finite.
Json number(double value);

// What a text that is not known becomes in JSON: null.
Json text_or_null(const std::optional<std::string>& text);

}  // namespace moecollab::evaluation
