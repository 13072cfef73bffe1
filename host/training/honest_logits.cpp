#include "training/honest_logits.h"

#include "pipeline/collaboration.h"
#include "training/held_out_file.h"

namespace moecollab::training {

HonestLogits honest_logits(pipeline::Pool& pool, pipeline::InstalledExpert& expert,
                           const encoder::Features& features, const std::vector<bool>& own_domain) {
  const auto stored = read_held_out(held_out_path(pool.options().registry, expert.sha256()),
                                    expert.expert.classes());
  HonestLogits out{at::zeros({features.rows(), expert.expert.classes()}), 0};
  std::vector<int64_t> to_run, stored_rows, stored_at;
  for (int64_t i = 0; i < features.rows(); ++i) {
    const auto at = static_cast<size_t>(i);
    const auto row = stored ? stored->find(sha256(features.texts[at])) : std::nullopt;
    if (row) {
      stored_rows.push_back(*row);
      stored_at.push_back(i);
      continue;
    }
    to_run.push_back(i);
    if (own_domain[at]) ++out.unknown;
  }
  if (!stored_at.empty()) {
    out.logits.index_copy_(0, encoder::index_tensor(stored_at),
                           stored->logits.index_select(0, encoder::index_tensor(stored_rows)));
  }
  if (!to_run.empty()) {
    out.logits.index_copy_(
        0, encoder::index_tensor(to_run),
        pipeline::ask_expert(expert, features, to_run, pool.registry().policy.nan));
  }
  return out;
}

}  // namespace moecollab::training
