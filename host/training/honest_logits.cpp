#include "training/honest_logits.h"

#include <fmt/format.h>

#include <algorithm>

#include "pipeline/collaboration.h"
#include "training/held_out_file.h"

namespace moecollab::training {
namespace {

// What an expert's output depends on beside the text.
std::string output_key(const pipeline::Pool& pool, const pipeline::InstalledExpert& expert) {
  Json config = Json::object();
  for (const registry::ExpertEntry& entry : pool.registry().experts) {
    if (entry.name == expert.name) config = entry.config;
  }
  return fmt::format("output of package {}\nconfig {}\nencoder {}", expert.sha256(),
                     to_line(config), pool.encoder()->fingerprint());
}

bool outputs_are_cached(const pipeline::Pool& pool, const pipeline::InstalledExpert& expert) {
  return pool.options().cache != nullptr && pool.encoder() != nullptr &&
         expert.package.manifest.output.deterministic;
}

}  // namespace

HonestLogits known_logits(const pipeline::Pool& pool, const pipeline::InstalledExpert& expert,
                          std::span<const std::string_view> texts,
                          const std::vector<bool>& own_domain) {
  const int64_t classes = expert.expert.classes();
  const auto stored =
      read_held_out(held_out_path(pool.options().registry, expert.sha256()), classes);
  const std::string key = outputs_are_cached(pool, expert) ? output_key(pool, expert) : "";
  HonestLogits known;
  known.logits = at::zeros({static_cast<int64_t>(texts.size()), classes});
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto row = static_cast<int64_t>(i);
    const Digest digest = sha256(texts[i]);
    float* into = known.logits.mutable_data_ptr<float>() + row * classes;
    if (const auto at = stored ? stored->find(digest) : std::nullopt) {
      std::copy_n(stored->logits.const_data_ptr<float>() + *at * classes, classes, into);
      continue;
    }
    if (own_domain[i]) ++known.unknown;
    const float* cached =
        key.empty() ? nullptr : pool.options().cache->find(key, {}, classes, digest);
    if (cached == nullptr) {
      known.to_run.push_back(row);
    } else {
      std::copy_n(cached, classes, into);
    }
  }
  return known;
}

void ask_missing(pipeline::Pool& pool, pipeline::InstalledExpert& expert,
                 const encoder::Features& features, HonestLogits& known) {
  if (known.to_run.empty()) return;
  const at::Tensor logits =
      pipeline::ask_expert(expert, features, known.to_run, pool.registry().policy.nan);
  known.logits.index_copy_(0, encoder::index_tensor(known.to_run), logits);
  if (!outputs_are_cached(pool, expert) || !logits.isfinite().all().item<bool>()) return;
  std::vector<std::string_view> asked;
  for (const int64_t row : known.to_run) asked.push_back(features.texts[static_cast<size_t>(row)]);
  pool.options().cache->add(output_key(pool, expert), {}, asked, logits);
}

}  // namespace moecollab::training
