#include "data/hold_out.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <string>

#include "base/digest.h"

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

}  // namespace moecollab::data
