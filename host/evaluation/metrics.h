// What the answers are worth: accuracy, F1, intervals, paired comparison, calibration.
//
// Classes are global label ids (fusion/label_space.h); `truth`, `predicted`, `confidence` and
// `correct` have one entry per text, in the same order, shape [n]. `correct` holds 0 or 1.
// Spans of different lengths are a bug of the caller and throw E_INTERNAL with both lengths. A
// value that is not defined (no texts) is NaN, which a report writes as null. Formulas:
// docs/mathematics.md, "What the answers are worth".
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace moecollab::evaluation {

// What is not defined.
inline constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

// Standard normal quantile of a two-sided 95 % interval.
inline constexpr double kZ95 = 1.959963984540054;

// Bounds of a 95 % interval, both inclusive.
struct Interval {
  double low;
  double high;
};

// 1 if `predicted` equals `truth`, else 0; [n].
std::vector<int> correctness(std::span<const int> truth, std::span<const int> predicted);

// Share of texts answered with their own label, in [0, 1].
double accuracy(std::span<const int> truth, std::span<const int> predicted);

// Mean over `labels` of F1 = 2·tp / (2·tp + fp + fn), in [0, 1]; 0 for a label that is neither
// given nor answered. An answer outside `labels` counts as a miss of the text's own label. `labels`
// holds each id once.
double macro_f1(std::span<const int> truth, std::span<const int> predicted,
                std::span<const int> labels);

// counts[t][p]: texts of labels[t] answered with labels[p]; outside[t]: those answered with a label
// that is not listed (another space). Texts whose truth is not listed are left out.
struct Confusion {
  std::vector<int> labels;
  std::vector<std::vector<int64_t>> counts;  // [L][L]
  std::vector<int64_t> outside;              // [L]
};
Confusion confusion(std::span<const int> truth, std::span<const int> predicted,
                    std::span<const int> labels);

// Wilson's score interval of `successes` out of `n` (Wilson 1927), clamped to [0, 1].
Interval wilson(int64_t successes, int64_t n, double z = kZ95);

// 95 % percentile bootstrap of macro_f1: `rounds` resamples of the texts with replacement,
// quantiles 0.025 and 0.975 interpolated linearly. Equal seeds give equal bounds on every platform.
Interval bootstrap_macro_f1(std::span<const int> truth, std::span<const int> predicted,
                            std::span<const int> labels, uint64_t seed, int rounds = 1000);

// Two systems on the same texts (McNemar 1947, without continuity correction).
struct McNemar {
  double z;       // (fixed − broke) / √(fixed + broke); 0 if they never differ
  int64_t fixed;  // wrong before, right after
  int64_t broke;  // right before, wrong after
};
McNemar mcnemar(std::span<const int> truth, std::span<const int> before,
                std::span<const int> after);

// 95 % interval of the change of accuracy on n texts of which so many became right and wrong, with
// half a text more in each cell of the table (Agresti and Min 2005); within [−1, 1].
Interval change_interval(int64_t fixed, int64_t broke, int64_t n);

// One of equal bins of [0, 1] by confidence.
struct ReliabilityBin {
  int64_t n = 0;          // texts
  double confidence = 0;  // their means; NaN without texts
  double accuracy = 0;
};
// The bins (0, 1/bins], (1/bins, 2/bins], …; confidence 0 falls into the first.
std::vector<ReliabilityBin> reliability(std::span<const double> confidence,
                                        std::span<const int> correct, int bins = 15);

// Expected calibration error: Σ_b (n_b / n)·|accuracy_b − mean confidence_b| over the bins of
// reliability() (Guo et al. 2017).
double ece(std::span<const double> confidence, std::span<const int> correct, int bins = 15);

// Accuracy of the ⌈share·n⌉ texts of highest confidence. Texts that tie at the cut count with their
// mean, so the order of the texts does not matter. share in (0, 1].
double coverage_accuracy(std::span<const double> confidence, std::span<const int> correct,
                         double share);
// The shares that a report shows.
inline constexpr std::array<double, 4> kCoverages{1.0, 0.9, 0.8, 0.5};

// Probability that a text with positive[i] = 1 scores above one with 0, ties half (Mann–Whitney).
// NaN if either kind is missing.
double auroc(std::span<const double> score, std::span<const int> positive);

}  // namespace moecollab::evaluation
