// What ways to answer are worth that differ in one thing, on the same texts.
#pragma once

#include <ATen/ATen.h>

#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "data/dataset.h"
#include "fusion/fusion.h"
#include "pipeline/open_gate.h"
#include "pipeline/pool.h"
#include "training/text_collection.h"

namespace moecollab::ablation {

// Which experts are asked about n texts, at which shares, and how their answers become one.
struct Way {
  std::vector<size_t> experts;               // [E] of the pool's
  std::vector<fusion::ExpertLabels> labels;  // [E] at the temperatures that count
  at::Tensor router_logits;                  // [n, E]
  fusion::Mode fusion;
  int64_t top_k;
};

// What it answers.
struct Answers {
  std::vector<int> label;        // [n] over the union of labels; empty under paper and masked
  std::vector<int> label_aware;  // [n] over the text's own space
  std::vector<double> mass;      // [n, spaces] the gate's, per label space
};

// Every text of some files, and what all experts of a pool say of it. Encodes and asks once, so
// that a further way costs no pass. Borrows both.
class Judge {
 public:
  // `caps` [E of the pool]: weight caps, undefined if there are none. Throws E_DATA for a label
  // that no expert's space holds, and as the experts do.
  Judge(pipeline::Pool& pool, const std::vector<data::Dataset>& datasets, at::Tensor caps);

  int64_t texts() const { return texts_.rows(); }
  // z [n, D]: what a gate with these features reads of the texts.
  at::Tensor input(const std::vector<encoder::PooledKey>& features);
  // [n] int64, the label space of each text.
  const at::Tensor& spaces() const { return texts_.spaces; }

  // Throws E_OUT_NONFINITE if nobody who is asked about a text gave numbers.
  Answers answer(const Way& way) const;

  // "domains" and "overall" of the answers: accuracies and macro-F1, null if the fusion has no
  // task-agnostic answer; of the gate n_eff over label spaces beside its target.
  Json figures(const Answers& answers) const;
  // The paired change from one to the other, per domain and overall: task-agnostic if both have
  // such answers, else task-aware ("by"). Bounds are one-sided, at 95 %.
  Json change(const Answers& from, const Answers& to) const { return change(*this, from, to); }
  // The same if another judge, of another pool and the same texts, knows the first.
  Json change(const Judge& other, const Answers& from, const Answers& to) const;
  // The share of texts whose own label space is among the k that the gate gives most.
  double routing_recall(const Answers& answers, int k) const;
  // A '1' or '0' per text: whether it was answered right, task-agnostic if there are such answers.
  std::string right_flags(const Answers& answers) const;
  // {"figures", "change"} of the texts of one space, if the domain is known; "overall" is null.
  Json in_space(int space, const Answers& from, Answers to) const;

 private:
  struct Domain {  // rows [first, first + count)
    std::string name;
    int space;
    int64_t first, count;
  };

  pipeline::Pool& pool_;
  at::Tensor caps_;
  std::vector<training::ChosenTexts> chosen_;
  std::vector<Domain> domains_;
  at::Tensor answered_;  // [n, E of the pool] 1; 0 if an expert gave no number
  training::AnsweredTexts texts_;
  std::vector<int> truth_;
  std::map<std::vector<encoder::PooledKey>, at::Tensor> inputs_;
};

// The way of a gate over experts of the pool, whose texts the judge has.
Way way_of(const pipeline::RoutedGate& routed, pipeline::Pool& pool, Judge& judge,
           fusion::Mode fusion, int64_t top_k);

}  // namespace moecollab::ablation
