// What each stage of a collaboration takes on the same texts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pipeline/collaboration.h"

namespace moecollab::evaluation {

// Synthetic texts of 4 to 60 common words; counted, not sampled, so that every run has the same.
class SpeedTexts {
 public:
  // At least one; the encoder counts their tokens.
  SpeedTexts(int64_t count, const encoder::Encoder& encoder);
  SpeedTexts(const SpeedTexts&) = delete;
  SpeedTexts& operator=(const SpeedTexts&) = delete;

  const std::vector<std::string_view>& views() const { return views_; }
  const std::vector<int32_t>& lengths() const { return lengths_; }  // tokens, a number per text
  int64_t count() const { return static_cast<int64_t>(views_.size()); }
  int64_t tokens() const;
  int64_t bytes() const;

 private:
  std::vector<std::string> texts_;
  std::vector<std::string_view> views_;
  std::vector<int32_t> lengths_;
};

// All texts once: the least of five times, or of fewer that take two seconds together.
struct Speed {
  double seconds = 0;
  double flops = 0;  // 2 per multiply-add; 0: not stated
};
struct ExpertSpeed {
  Speed all;                                                   // 128 texts per call
  double microseconds_batch_1 = 0, microseconds_batch_32 = 0;  // per call
};
struct RoutingSpeed {
  Speed gate, fusion;  // all texts in one call
};

Speed tokenizing_speed(const encoder::Encoder& encoder, const SpeedTexts& texts);
// With tokenising, as the verb `encode` counts; without loading.
Speed encoding_speed(encoder::Encoder& encoder, const SpeedTexts& texts);
ExpertSpeed expert_speed(pipeline::Pool& pool, pipeline::InstalledExpert& expert,
                         const SpeedTexts& texts);
// Encodes the texts and asks the experts first.
RoutingSpeed routing_speed(pipeline::Collaboration& collaboration, const SpeedTexts& texts);

}  // namespace moecollab::evaluation
