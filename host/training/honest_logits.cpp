#include "training/honest_logits.h"

#include <algorithm>

#include "training/held_out_file.h"

namespace moecollab::training {

HonestLogits known_logits(const pipeline::Pool& pool, const pipeline::InstalledExpert& expert,
                          std::span<const std::string_view> texts,
                          const std::vector<bool>& own_domain) {
  const int64_t classes = expert.expert->classes();
  const auto stored =
      read_held_out(registry::held_out_file(pool.options().registry, expert.sha256()), classes);
  HonestLogits known{pipeline::recall(pool, expert, texts), 0};
  float* logits = known.logits.mutable_data_ptr<float>();
  std::vector<bool> is_stored(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto at = stored ? stored->find(sha256(texts[i])) : std::nullopt;
    if (at) {
      std::copy_n(stored->logits.const_data_ptr<float>() + *at * classes, classes,
                  logits + static_cast<int64_t>(i) * classes);
      is_stored[i] = true;
    } else if (own_domain[i]) {
      ++known.unknown;
    }
  }
  std::erase_if(known.to_run, [&](int64_t row) { return is_stored[static_cast<size_t>(row)]; });
  return known;
}

void ask_missing(pipeline::Pool& pool, pipeline::InstalledExpert& expert,
                 const encoder::Features& features, HonestLogits& known) {
  const std::vector<int64_t> rows = known.to_run;
  pipeline::complete(pool, expert, features, rows, known);
}

}  // namespace moecollab::training
