#include "evaluation/seen_texts.h"

#include <fmt/format.h>

#include <algorithm>

namespace moecollab::evaluation {

std::vector<Digest> digests_of(const data::Dataset& dataset) {
  std::vector<Digest> digests;
  digests.reserve(dataset.examples.size());
  for (const data::Example& example : dataset.examples) digests.push_back(sha256(example.text));
  return digests;
}

void SeenTexts::add(const std::string& source, const std::string& domain,
                    const std::vector<Digest>& texts) {
  sources_.push_back({source, domain, {texts.begin(), texts.end()}});
}

std::optional<int64_t> SeenTexts::overlap(const data::Dataset& dataset) const {
  const bool known =
      std::ranges::any_of(sources_, [&](const Source& s) { return s.domain == dataset.domain; });
  const std::vector<Digest> texts = digests_of(dataset);
  const int64_t count = std::ranges::count_if(texts, [&](const Digest& text) {
    return std::ranges::any_of(sources_, [&](const Source& s) { return s.texts.contains(text); });
  });
  return known || count > 0 ? std::optional(count) : std::nullopt;
}

std::vector<std::string> SeenTexts::warnings(const data::Dataset& dataset) const {
  std::vector<std::string> all;
  const std::vector<Digest> texts = digests_of(dataset);
  for (const Source& source : sources_) {
    const int64_t count = std::ranges::count_if(
        texts, [&](const Digest& text) { return source.texts.contains(text); });
    if (count == 0) continue;
    all.push_back(fmt::format("{}: {} of the {} texts stand in the training data of {}",
                              dataset.domain, count, texts.size(), source.name));
  }
  return all;
}

}  // namespace moecollab::evaluation
