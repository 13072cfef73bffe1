#include "contribution/trained_package.h"

#include <algorithm>

#include "contribution/package_writer.h"
#include "pipeline/probe.h"
#include "training/held_out_file.h"

namespace moecollab::contribution {
namespace {

constexpr size_t kProbeTexts = 4;

// The shortest texts make a small probe file; ties by position.
std::vector<std::string> probe_texts(const std::vector<std::string_view>& texts) {
  std::vector<std::string> shortest(texts.begin(), texts.end());
  std::stable_sort(shortest.begin(), shortest.end(),
                   [](const auto& a, const auto& b) { return a.size() < b.size(); });
  shortest.resize(std::min(kProbeTexts, shortest.size()));
  return shortest;
}

}  // namespace

registry::Package write_trained(const fs::path& folder, const registry::Manifest& manifest,
                                const registry::Package& kind, WeightType weights,
                                training::TrainedExpert& trained, pipeline::Pool& pool,
                                const std::vector<std::string_view>& texts) {
  const bool bfloat16 = weights == WeightType::kBf16;
  if (bfloat16) trained.expert->round_to_bfloat16();
  fs::remove_all(folder);
  make_folder(folder);
  return write_package(
      folder,
      {manifest, kind.folder / registry::library_file(kind.manifest), trained.expert->learnt(),
       bfloat16, pipeline::make_probe(*trained.expert, pool.encoder(), probe_texts(texts))});
}

bool can_learn_again(const registry::Package& package, const fs::path& registry) {
  const Json& provenance = package.manifest.provenance;
  return provenance.contains("kind") && provenance.contains("recipe") &&
         !provenance.contains("distilled") &&
         fs::exists(registry::held_out_file(registry, package.manifest_sha256));
}

}  // namespace moecollab::contribution
