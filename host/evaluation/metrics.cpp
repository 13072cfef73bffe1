#include "evaluation/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <unordered_map>

#include "base/error.h"

namespace moecollab::evaluation {
namespace {

void require_equal_lengths(const char* metric, size_t a, size_t b) {
  if (a != b) throw Error("E_INTERNAL", fmt::format("{} of {} and {} values", metric, a, b));
}

// A text's label and answer as positions in the list of labels; the list's length for "not there".
struct Outcome {
  int truth;
  int predicted;
};

std::vector<Outcome> outcomes(std::span<const int> truth, std::span<const int> predicted,
                              std::span<const int> labels) {
  require_equal_lengths("labels and answers", truth.size(), predicted.size());
  std::unordered_map<int, int> positions;
  for (const int label : labels) {
    if (!positions.emplace(label, static_cast<int>(positions.size())).second) {
      throw Error("E_INTERNAL", fmt::format("label id {} is listed twice", label));
    }
  }
  const auto position = [&](int label) {
    const auto found = positions.find(label);
    return found == positions.end() ? static_cast<int>(labels.size()) : found->second;
  };
  std::vector<Outcome> out(truth.size());
  for (size_t i = 0; i < out.size(); ++i) out[i] = {position(truth[i]), position(predicted[i])};
  return out;
}

// tp, fp and fn of every label, and one entry more for what is not listed.
class F1Counts {
 public:
  explicit F1Counts(size_t labels) : hits_(labels + 1), given_(labels + 1), answered_(labels + 1) {}

  void add(Outcome text) {
    ++given_[text.truth];
    ++answered_[text.predicted];
    if (text.truth == text.predicted) ++hits_[text.truth];
  }

  // given = tp + fn and answered = tp + fp, so their sum is the denominator 2·tp + fp + fn.
  double macro() const {
    const size_t labels = hits_.size() - 1;
    double sum = 0;
    for (size_t i = 0; i < labels; ++i) {
      const int64_t denominator = given_[i] + answered_[i];
      if (denominator > 0) sum += 2.0 * static_cast<double>(hits_[i]) / denominator;
    }
    return sum / static_cast<double>(labels);
  }

 private:
  std::vector<int64_t> hits_, given_, answered_;
};

// A uniform index below n. The standard's distributions differ between libraries; this does not.
size_t draw(std::mt19937_64& random, size_t n) {
  return static_cast<size_t>((random() >> 11) * 0x1.0p-53 * static_cast<double>(n));
}

double quantile(const std::vector<double>& sorted, double q) {
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<size_t>(at);
  const size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (at - static_cast<double>(low)) * (sorted[high] - sorted[low]);
}

// Indices ordered by value, largest first.
std::vector<size_t> order_descending(std::span<const double> values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] > values[b]; });
  return order;
}

// One past the last text of order[first…] with the same value as the first.
size_t end_of_ties(std::span<const double> values, const std::vector<size_t>& order, size_t first) {
  size_t end = first + 1;
  while (end < order.size() && values[order[end]] == values[order[first]]) ++end;
  return end;
}

}  // namespace

std::vector<int> correctness(std::span<const int> truth, std::span<const int> predicted) {
  require_equal_lengths("correctness", truth.size(), predicted.size());
  std::vector<int> out(truth.size());
  for (size_t i = 0; i < out.size(); ++i) out[i] = truth[i] == predicted[i] ? 1 : 0;
  return out;
}

double accuracy(std::span<const int> truth, std::span<const int> predicted) {
  const std::vector<int> correct = correctness(truth, predicted);
  if (correct.empty()) return kUndefined;
  return std::accumulate(correct.begin(), correct.end(), 0.0) / static_cast<double>(correct.size());
}

double macro_f1(std::span<const int> truth, std::span<const int> predicted,
                std::span<const int> labels) {
  const std::vector<Outcome> texts = outcomes(truth, predicted, labels);
  if (texts.empty() || labels.empty()) return kUndefined;
  F1Counts counts(labels.size());
  for (const Outcome text : texts) counts.add(text);
  return counts.macro();
}

Confusion confusion(std::span<const int> truth, std::span<const int> predicted,
                    std::span<const int> labels) {
  const size_t n = labels.size();
  Confusion out{{labels.begin(), labels.end()},
                std::vector<std::vector<int64_t>>(n, std::vector<int64_t>(n)),
                std::vector<int64_t>(n)};
  for (const auto [own, answer] : outcomes(truth, predicted, labels)) {
    if (static_cast<size_t>(own) == n) continue;
    ++(static_cast<size_t>(answer) == n ? out.outside[own] : out.counts[own][answer]);
  }
  return out;
}

Interval wilson(int64_t successes, int64_t n, double z) {
  if (n == 0) return {kUndefined, kUndefined};
  const auto trials = static_cast<double>(n);
  const double p = static_cast<double>(successes) / trials;
  const double scale = 1 + z * z / trials;
  const double centre = (p + z * z / (2 * trials)) / scale;
  const double half = z / scale * std::sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials));
  return {std::max(0.0, centre - half), std::min(1.0, centre + half)};
}

Interval bootstrap_macro_f1(std::span<const int> truth, std::span<const int> predicted,
                            std::span<const int> labels, uint64_t seed, int rounds) {
  const std::vector<Outcome> texts = outcomes(truth, predicted, labels);
  if (texts.empty() || labels.empty() || rounds < 1) return {kUndefined, kUndefined};
  std::mt19937_64 random(seed);
  std::vector<double> values(rounds);
  for (double& value : values) {
    F1Counts counts(labels.size());
    for (size_t i = 0; i < texts.size(); ++i) counts.add(texts[draw(random, texts.size())]);
    value = counts.macro();
  }
  std::sort(values.begin(), values.end());
  return {quantile(values, 0.025), quantile(values, 0.975)};
}

McNemar mcnemar(std::span<const int> truth, std::span<const int> before,
                std::span<const int> after) {
  const std::vector<int> was_right = correctness(truth, before);
  const std::vector<int> is_right = correctness(truth, after);
  McNemar out{0, 0, 0};
  for (size_t i = 0; i < was_right.size(); ++i) {
    if (is_right[i] > was_right[i]) ++out.fixed;
    if (is_right[i] < was_right[i]) ++out.broke;
  }
  const auto differing = static_cast<double>(out.fixed + out.broke);
  if (differing > 0) out.z = static_cast<double>(out.fixed - out.broke) / std::sqrt(differing);
  return out;
}

Interval change_interval(int64_t fixed, int64_t broke, int64_t n) {
  if (n == 0) return {kUndefined, kUndefined};
  const double texts = static_cast<double>(n) + 2;
  const double change = static_cast<double>(fixed - broke) / texts;
  const double variance = (static_cast<double>(fixed + broke) + 1) / texts - change * change;
  const double margin = kZ95 * std::sqrt(variance / texts);
  return {std::max(-1.0, change - margin), std::min(1.0, change + margin)};
}

std::vector<ReliabilityBin> reliability(std::span<const double> confidence,
                                        std::span<const int> correct, int bins) {
  require_equal_lengths("reliability", confidence.size(), correct.size());
  std::vector<ReliabilityBin> all(static_cast<size_t>(bins));
  for (size_t i = 0; i < confidence.size(); ++i) {
    const int place = static_cast<int>(std::ceil(confidence[i] * bins)) - 1;
    ReliabilityBin& bin = all[static_cast<size_t>(std::clamp(place, 0, bins - 1))];
    ++bin.n;
    bin.confidence += confidence[i];
    bin.accuracy += correct[i];
  }
  for (ReliabilityBin& bin : all) {
    const auto n = static_cast<double>(bin.n);
    bin.confidence = bin.n > 0 ? bin.confidence / n : kUndefined;
    bin.accuracy = bin.n > 0 ? bin.accuracy / n : kUndefined;
  }
  return all;
}

double ece(std::span<const double> confidence, std::span<const int> correct, int bins) {
  if (confidence.empty()) return kUndefined;
  double sum = 0;
  for (const ReliabilityBin& bin : reliability(confidence, correct, bins))
    if (bin.n > 0) sum += static_cast<double>(bin.n) * std::abs(bin.accuracy - bin.confidence);
  return sum / static_cast<double>(confidence.size());
}

double coverage_accuracy(std::span<const double> confidence, std::span<const int> correct,
                         double share) {
  require_equal_lengths("coverage_accuracy", confidence.size(), correct.size());
  if (confidence.empty()) return kUndefined;
  // 0.9·10 is a little above 9 in binary; the tolerance keeps that from answering a tenth text.
  const double wanted = std::ceil(share * static_cast<double>(confidence.size()) - 1e-9);
  const size_t answered = std::clamp<size_t>(static_cast<size_t>(wanted), 1, confidence.size());
  const std::vector<size_t> order = order_descending(confidence);
  double right = 0;
  for (size_t first = 0; first < answered;) {
    const size_t end = end_of_ties(confidence, order, first);
    double tied = 0;
    for (size_t i = first; i < end; ++i) tied += correct[order[i]];
    const size_t taken = std::min(end, answered) - first;
    right += tied * static_cast<double>(taken) / static_cast<double>(end - first);
    first = end;
  }
  return right / static_cast<double>(answered);
}

double auroc(std::span<const double> score, std::span<const int> positive) {
  require_equal_lengths("auroc", score.size(), positive.size());
  const std::vector<size_t> order = order_descending(score);
  double positives = 0, negatives = 0, won = 0;
  for (size_t first = 0; first < order.size();) {
    const size_t end = end_of_ties(score, order, first);
    double tied = 0;
    for (size_t i = first; i < end; ++i) tied += positive[order[i]];
    const double tied_negatives = static_cast<double>(end - first) - tied;
    // Each negative here loses to the positives above it and halves with those beside it.
    won += tied_negatives * (positives + tied / 2);
    positives += tied;
    negatives += tied_negatives;
    first = end;
  }
  if (positives == 0 || negatives == 0) return kUndefined;
  return won / (positives * negatives);
}

}  // namespace moecollab::evaluation
