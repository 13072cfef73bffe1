// Features of texts that were encoded in steps, fewer and deeper each time.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "encoder/encoder.h"

namespace moecollab::pipeline {

// Who reads features of which texts.
struct Reader {
  const encoder::FeatureRequest* request;
  std::vector<int64_t> rows;  // ascending
};

class EncodedTexts {
 public:
  EncodedTexts() = default;
  // The first step: all texts. Implicit: most callers need no other.
  EncodedTexts(encoder::Features all);

  int64_t rows() const { return all().rows(); }
  const encoder::Features& all() const { return steps_.front().features; }

  // Encodes each text on, from where it stands, to the deepest layer that one of its readers needs,
  // and no deeper. All readers need more than is here.
  void deepen(encoder::Encoder& encoder, std::span<const Reader> readers,
              std::string_view progress_label);

  // The features of these rows (ascending) for who reads `request`, if they were encoded for it.
  encoder::Features select(const encoder::FeatureRequest& request,
                           std::span<const int64_t> rows) const;
  // The same of all rows.
  encoder::Features select(const encoder::FeatureRequest& request) const {
    return select(request, steps_.front().rows);
  }

 private:
  struct Step {
    std::vector<int64_t> rows;  // ascending; a part of those of the step before
    encoder::Features features;
  };
  std::vector<Step> steps_;
};

}  // namespace moecollab::pipeline
