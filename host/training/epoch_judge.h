// What the gates of a fit's epochs are worth on the same held-out texts.
#pragma once

#include <span>
#include <vector>

#include "training/gate_judge.h"
#include "training/gate_training_options.h"

namespace moecollab::training {

// A fit needs no more of an epoch than the objective. On the CPU each gate is judged at once; on a
// device only that is computed, and the rest is found when the fit has ended, on the host's
// threads. Borrows the problem. Not thread-safe.
class EpochJudge {
 public:
  // `rows` of the held-out texts judge (at least one).
  EpochJudge(const GateProblem& problem, const GateTrainingOptions& options,
             std::span<const int64_t> rows);

  // Takes in the next gate; gives the objective's total for it.
  double add(const gate::Gate& gate);
  // How many gates there are so far.
  size_t count() const { return judged_.size() + routers_.size(); }
  // The judgement of one gate, by the number of its add(), and those of all.
  GateJudgement judgement(size_t number) const;
  std::vector<GateJudgement> finish() const;

 private:
  const GateProblem& problem_;
  gate::ObjectiveOptions objective_;
  at::Tensor prior_;  // [E], on the problem's device
  std::vector<int64_t> rows_;
  at::Tensor index_;                   // of the rows
  GateProblem::Inputs inputs_;         // theirs
  std::vector<GateJudgement> judged_;  // on the CPU
  std::vector<at::Tensor> routers_;    // else: router logits [rows, E] in the host's memory
};

}  // namespace moecollab::training
