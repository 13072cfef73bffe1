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

}  // namespace

std::vector<bool> held_out(const Dataset& dataset) {
  std::vector<Digest> digests;
  std::map<std::string, std::set<Digest>> texts_of_label;
  for (const Example& example : dataset.examples) {
    digests.push_back(sha256(example.text));
    texts_of_label[example.label].insert(digests.back());
  }
  std::set<Digest> held;
  for (const auto& [label, texts] : texts_of_label) {
    const auto count = static_cast<std::ptrdiff_t>(held_out_of(texts.size()));
    held.insert(texts.begin(), std::next(texts.begin(), count));
  }
  std::vector<bool> result;
  for (const Digest& digest : digests) result.push_back(held.contains(digest));
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
