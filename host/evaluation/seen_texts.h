// Which texts of an evaluation stood in training data.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/digest.h"
#include "data/dataset.h"

namespace moecollab::evaluation {

// Texts that were trained on, by their SHA-256, and who knows it. Not thread-safe.
class SeenTexts {
 public:
  // `source`: an expert, or a training file, of this domain.
  void add(const std::string& source, const std::string& domain, const std::vector<Digest>& texts);

  // How many of the dataset's texts any source has; nullopt if no source is of its domain, and none
  // has a text of it.
  std::optional<int64_t> overlap(const data::Dataset& dataset) const;
  // A sentence per expert or file that has texts of the dataset.
  std::vector<std::string> warnings(const data::Dataset& dataset) const;

 private:
  struct Source {
    std::string name, domain;
    std::set<Digest> texts;
  };
  std::vector<Source> sources_;
};

std::vector<Digest> digests_of(const data::Dataset& dataset);

}  // namespace moecollab::evaluation
