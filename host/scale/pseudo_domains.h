// Many small domains out of a few, for pools that are larger than the domains that there are data
// for; torch-free.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace moecollab::scale {

inline constexpr int kLeastOfALabel = 10;  // training texts of each label that a half must have
inline constexpr int kMostHalvings = 2;    // of one group of labels

struct PseudoDomain {
  std::string name;    // "news-2", or of its short and long texts "news-2-s", "news-2-l", …
  std::string source;  // domain that it was cut out of
  std::vector<data::Example> training, judged;
};

// Each domain's labels are dealt in turn, by falling frequency, into groups of two or three. Then
// the largest part is halved at the median length (in bytes) of its training texts, until there are
// `most` parts or none can be halved. The parts come in turn from the sources, in the order of
// these. Throws E_DATA if a source has no training texts, one label only, or judged texts of a
// label that its training texts lack, or if
// two parts would have one name, or a name too long for an expert's.
std::vector<PseudoDomain> pseudo_domains(const std::vector<data::Dataset>& training,
                                         const std::vector<data::Dataset>& judged, int most);

// As a JSONL file has them.
std::string jsonl(const std::vector<data::Example>& examples);

}  // namespace moecollab::scale
