#include "data/hold_out.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <string>

#include "base/digest.h"
#include "base/error.h"
#include "base/strings.h"

namespace moecollab::data {
namespace {

constexpr size_t kOneIn = 5;

size_t held_out_of(size_t texts) { return texts < 2 ? 0 : std::max<size_t>(1, texts / kOneIn); }

std::vector<Digest> digests_of(const Dataset& dataset) {
  std::vector<Digest> digests;
  for (const Example& example : dataset.examples) digests.push_back(sha256(example.text));
  return digests;
}

using TextsOfLabel = std::map<std::string, std::set<Digest>>;

TextsOfLabel texts_of_label(const Dataset& dataset, const std::vector<Digest>& digests) {
  TextsOfLabel texts;
  for (size_t i = 0; i < digests.size(); ++i) texts[dataset.examples[i].label].insert(digests[i]);
  return texts;
}

// A fifth of each label's texts.
std::set<Digest> smallest(const TextsOfLabel& texts_of_label) {
  std::set<Digest> held;
  for (const auto& [label, texts] : texts_of_label) {
    const auto count = static_cast<std::ptrdiff_t>(held_out_of(texts.size()));
    held.insert(texts.begin(), std::next(texts.begin(), count));
  }
  return held;
}

}  // namespace

std::vector<bool> held_out(const Dataset& dataset) {
  const std::vector<Digest> digests = digests_of(dataset);
  const std::set<Digest> held = smallest(texts_of_label(dataset, digests));
  std::vector<bool> result;
  for (const Digest& digest : digests) result.push_back(held.contains(digest));
  return result;
}

std::vector<int32_t> folds(const Dataset& dataset, int32_t count) {
  const std::vector<Digest> digests = digests_of(dataset);
  const TextsOfLabel of_label = texts_of_label(dataset, digests);
  std::map<Digest, int32_t> fold_of;
  for (const Digest& digest : smallest(of_label)) fold_of[digest] = 0;
  int32_t next = 0;  // continues from label to label, so that many small ones fill the folds alike
  for (const auto& [label, texts] : of_label) {
    if (count == 1 || texts.size() < 2) continue;
    for (const Digest& digest : texts) {
      if (fold_of.try_emplace(digest, 1 + next).second) next = (next + 1) % (count - 1);
    }
  }
  std::vector<int32_t> result;
  for (const Digest& digest : digests) {
    const auto it = fold_of.find(digest);
    result.push_back(it == fold_of.end() ? -1 : it->second);
  }
  return result;
}

int64_t count_held_out(std::span<const Dataset> datasets) {
  int64_t count = 0;
  for (const Dataset& dataset : datasets) count += std::ranges::count(held_out(dataset), true);
  return count;
}

void require_held_out(std::span<const Dataset> datasets) {
  if (count_held_out(datasets) > 0) return;
  std::vector<std::string> files;
  for (const Dataset& dataset : datasets) files.push_back(shown(dataset.file));
  throw Error(
      "E_DATA",
      fmt::format("no text is held out: a label needs two texts, and no label of {} has two "
                  "different ones",
                  escaped(join(files, ", "), 300)),
      "give more texts: some are held out to judge on what was not trained on");
}

}  // namespace moecollab::data
