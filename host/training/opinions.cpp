#include "training/opinions.h"

#include <cmath>

#include "base/probability.h"

namespace moecollab::training {

std::vector<int64_t> experts_in(int space, const std::vector<fusion::ExpertLabels>& experts) {
  std::vector<int64_t> own;
  for (size_t e = 0; e < experts.size(); ++e)
    if (experts[e].space == space) own.push_back(static_cast<int64_t>(e));
  return own;
}

at::Tensor texts_in(int space, const at::Tensor& targets, const fusion::LabelUnion& labels) {
  const fusion::LabelUnion::Range range = labels.range(space);
  return targets.ge(range.offset)
      .logical_and(targets.lt(range.offset + range.count))
      .nonzero()
      .flatten();
}

std::vector<bool> are_honest(const std::vector<int64_t>& experts,
                             const std::vector<int64_t>& seen) {
  std::vector<bool> honest;
  if (seen.empty()) return honest;
  for (const int64_t e : experts) honest.push_back(seen[static_cast<size_t>(e)] == 0);
  return honest;
}

Opinions opinions_in(int space, const at::Tensor& z, const at::Tensor& targets,
                     const std::vector<at::Tensor>& logits,
                     const std::vector<fusion::ExpertLabels>& experts,
                     const fusion::LabelUnion& labels) {
  const fusion::LabelUnion::Range range = labels.range(space);
  const std::vector<int64_t> own = experts_in(space, experts);
  const at::Tensor rows = texts_in(space, targets, labels);
  Opinions opinions{z.index_select(0, rows),
                    at::full({rows.numel(), static_cast<int64_t>(own.size()), range.count},
                             std::log(kLeastProbability), z.options()),
                    targets.index_select(0, rows) - range.offset, true};
  for (size_t i = 0; i < own.size(); ++i) {
    const fusion::ExpertLabels& expert = experts[static_cast<size_t>(own[i])];
    const at::Tensor said = logits[static_cast<size_t>(own[i])].index_select(0, rows);
    opinions.log_p.select(1, static_cast<int64_t>(i))
        .index_copy_(
            1, fusion::label_columns(expert).to(z.device()) - range.offset,
            at::log_softmax(said / expert.temperature, -1).clamp_min(std::log(kLeastProbability)));
    opinions.complete &= fusion::is_complete(expert, labels);
  }
  return opinions;
}

}  // namespace moecollab::training
