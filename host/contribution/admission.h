// The admission test: whether a candidate does harm to what is installed (docs/mathematics.md,
// "Admission of a candidate"). The answers are fused by the linear opinion pool (`mixture`),
// whatever the gate's own fusion is.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "fusion/fusion.h"

namespace moecollab::contribution {

// One-sided 95 % quantile of the standard normal distribution.
inline constexpr double kZ95OneSided = 1.6448536269514722;
// The change of accuracy that counts as harm. Of honest noisy clones among fifteen experts that
// they are no match for (tools/admission_experiment.py, seeds 1 to 5 on held-out training texts),
// the lowest lower bound was -0.015; of bad candidates above the majority class, the highest upper
// bound was -0.023.
inline constexpr double kMargin = -0.02;

// Two systems on the same n texts.
struct PairedChange {
  int64_t n = 0, fixed = 0, broke = 0;  // fixed: wrong before, right after
  double before = 0, after = 0;         // accuracies
  double change = 0;                    // after − before
  double low = 0, high = 0;             // one-sided 95 % bounds of the change
  double z = 0;  // McNemar: (fixed − broke) / √(fixed + broke); 0 if equal
};

// before, after [n] bool: whether each text was answered right. The bounds are the adjusted Wald
// interval of Agresti and Min (2005): half a text is added to each of the four cells, so that few
// texts without a difference prove nothing. n >= 1.
PairedChange paired_change(const at::Tensor& before, const at::Tensor& after);

// Texts after which the bound would clear the margin if change and spread stay as they are; 0 if
// none would, since the change is the margin itself.
int64_t texts_needed(const PairedChange& change, double margin = kMargin);

enum class Verdict { kAdmit, kRefuse, kUndecided };
std::string_view name(Verdict verdict);  // "admit", "refuse", "undecided"

// Admits if low > margin and own_accuracy > majority; refuses if high < margin or own_accuracy <=
// majority; undecided otherwise.
Verdict decide(const PairedChange& forced, double own_accuracy, double majority,
               double margin = kMargin);

// A forced share: the same for each label space that some present expert answers in, and within it
// the same for each of its experts. spaces and present [E]; weights [E] that sum to 1 (all 0 if
// none is present).
std::vector<double> forced_share(const std::vector<int>& spaces, const std::vector<bool>& present);

// [n, labels] float32: softmax(logits / T) in the columns of the union.
at::Tensor over_union(const at::Tensor& logits, const fusion::ExpertLabels& expert, int64_t labels);

// A pool under forced shares. answers[e] = over_union() of expert e; targets [n] int64.
class ForcedPool {
 public:
  ForcedPool(const std::vector<at::Tensor>& answers, std::vector<int> spaces, at::Tensor targets);

  size_t experts() const { return spaces_.size(); }
  // Whether each text [n] bool is answered right by the experts present; nobody: all wrong.
  at::Tensor right(const std::vector<bool>& present) const;
  double accuracy(const std::vector<bool>& present) const;

 private:
  at::Tensor answers_;  // [E, n·|Y|]
  std::vector<int> spaces_;
  at::Tensor targets_;
};

// Shapley value of each player by sampling orders in which they join (Castro, Gómez and Tejada
// 2009), each order together with its reverse. Sums to value(all) − value(none) but for rounding.
// `orders` >= 1; equal seeds give equal values. `value` is called once a coalition.
std::vector<double> shapley(size_t players, int orders, uint64_t seed,
                            const std::function<double(const std::vector<bool>&)>& value);

}  // namespace moecollab::contribution
