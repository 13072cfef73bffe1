#include "conformance/toy.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace moecollab::conformance {
namespace {

double mean_loss(const std::vector<float>& logits, const std::vector<int32_t>& labels,
                 size_t classes) {
  double sum = 0;
  for (size_t row = 0; row < labels.size(); ++row) {
    const float* z = &logits[row * classes];
    const double top = *std::max_element(z, z + classes);
    double total = 0;
    for (size_t c = 0; c < classes; ++c) total += std::exp(static_cast<double>(z[c]) - top);
    sum += top + std::log(total) - z[static_cast<size_t>(labels[row])];
  }
  return sum / static_cast<double>(labels.size());
}

}  // namespace

Toy::Toy(Subject& subject, const TestExpert& expert, size_t n) : rows(expert.rows(n, 8)) {
  const auto classes = static_cast<size_t>(subject.classes());
  const char* const words[] = {"harbour", "orchard", "lantern", "meadow", "granite"};
  for (size_t i = 0; i < n; ++i) {
    const size_t label = i % classes;
    labels.push_back(static_cast<int32_t>(label));
    TestBatch::Row& row = rows[i];
    row.text = fmt::format("{0} and {0}{1} by the {0}", words[label % 5], label);
    std::fill(row.tokens.begin(), row.tokens.end(), static_cast<int32_t>(10 + label));
    for (auto* layers : {&row.hidden, &row.pooled}) {
      for (auto& values : *layers) {
        for (size_t j = 0; j < values.size(); ++j)
          values[j] = 0.1F * values[j] + (j % classes == label ? 1.0F : 0.0F);
      }
    }
  }
}

void Toy::make_unlike_others(size_t row) {
  TestBatch::Row& own = rows[row];
  own.text = fmt::format("solitude {0} alone{0} unlike{0}", row);
  std::ranges::fill(own.tokens, static_cast<int32_t>(50 + row));
  for (auto* layers : {&own.hidden, &own.pooled}) {
    for (auto& values : *layers) {
      for (size_t j = 0; j < values.size(); ++j)
        values[j] = j % 7 == row % 7 ? -2.0F : 0.1F * static_cast<float>(row);
    }
  }
}

double chance(const Subject& subject) { return std::log(static_cast<double>(subject.classes())); }

double loss_of(Subject& subject, TestExpert& expert, const Toy& toy) {
  std::vector<float> logits = forward_all(expert, toy.rows);
  if (subject.manifest().output.kind == "probabilities")
    std::ranges::transform(logits, logits.begin(), [](float p) { return std::log(p + 1e-9F); });
  return mean_loss(logits, toy.labels, static_cast<size_t>(subject.classes()));
}

}  // namespace moecollab::conformance
