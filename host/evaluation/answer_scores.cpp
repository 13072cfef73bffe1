#include "evaluation/answer_scores.h"

#include <algorithm>
#include <numeric>

#include "evaluation/gate_usage.h"
#include "evaluation/metrics.h"

namespace moecollab::evaluation {

std::vector<int> label_ids(const fusion::LabelUnion& labels, int space) {
  const fusion::LabelUnion::Range range = labels.range(space);
  std::vector<int> ids(static_cast<size_t>(range.count));
  std::iota(ids.begin(), ids.end(), range.offset);
  return ids;
}

std::vector<int> present(const std::vector<int>& ids, const std::vector<int>& truth) {
  std::vector<int> found;
  for (const int id : ids)
    if (std::ranges::find(truth, id) != truth.end()) found.push_back(id);
  return found;
}

Json scores(const std::vector<int>& truth, const std::vector<int>& predicted,
            const std::vector<int>& labels) {
  if (predicted.empty()) return {{"accuracy", nullptr}, {"macro_f1", nullptr}};
  return {{"accuracy", accuracy(truth, predicted)},
          {"macro_f1", macro_f1(truth, predicted, labels)}};
}

Json scores_or_null(const std::vector<int>& truth, const std::vector<int>& predicted,
                    const std::vector<int>& labels) {
  return predicted.empty() ? Json(nullptr) : scores(truth, predicted, labels);
}

Json paired(const std::vector<int>& truth, const std::vector<int>& before,
            const std::vector<int>& after) {
  const McNemar result = mcnemar(truth, before, after);
  return {{"z", result.z}, {"fixed", result.fixed}, {"broke", result.broke}};
}

double routing_accuracy(const Figures& figures, const DomainFigures& domain) {
  const auto spaces = static_cast<int>(figures.labels.spaces().size());
  const std::vector<int> routed =
      argmax_rows(space_mass(domain.gate, figures.gate.space_of_expert, spaces), spaces);
  return accuracy(std::vector<int>(routed.size(), domain.space), routed);
}

}  // namespace moecollab::evaluation
