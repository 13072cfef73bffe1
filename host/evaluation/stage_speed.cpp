#include "evaluation/stage_speed.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <span>

#include "base/measure.h"

namespace moecollab::evaluation {
namespace {

std::vector<std::string> speed_texts(int64_t count) {
  static constexpr const char* kWords[] = {"the", "court",   "found", "a",      "new", "treatment",
                                           "for", "players", "of",    "market", "and", "users"};
  std::vector<std::string> texts;
  for (int64_t i = 0; i < count; ++i) {
    std::string text;
    for (int64_t w = 0; w < 4 + (i * 7) % 57; ++w)
      text += std::string(w > 0 ? " " : "") + kWords[(i + w * 5) % 12];
    texts.push_back(text);
  }
  return texts;
}

double stage_seconds(const std::function<void()>& call) {
  return least_seconds(/*runs=*/5, call, /*enough=*/2);
}

// The mean of 200 calls, or of fewer that take a second together.
double microseconds_per_call(experts::Expert& expert, const encoder::Features& rows) {
  expert.forward(rows);
  int calls = 0;
  const Stopwatch watch;
  while (calls < 200 && (calls == 0 || watch.seconds() < 1)) {
    expert.forward(rows);
    ++calls;
  }
  return watch.seconds() / calls * 1e6;
}

}  // namespace

SpeedTexts::SpeedTexts(int64_t count, const encoder::Encoder& encoder)
    : texts_(speed_texts(count)),
      views_(texts_.begin(), texts_.end()),
      lengths_(encoder.lengths(views_).tokens) {}

int64_t SpeedTexts::tokens() const {
  return std::accumulate(lengths_.begin(), lengths_.end(), int64_t{0});
}

int64_t SpeedTexts::bytes() const {
  int64_t sum = 0;
  for (const std::string& text : texts_) sum += static_cast<int64_t>(text.size());
  return sum;
}

Speed tokenizing_speed(const encoder::Encoder& encoder, const SpeedTexts& texts) {
  return {stage_seconds([&] { encoder.lengths(texts.views()); })};
}

Speed encoding_speed(encoder::Encoder& encoder, const SpeedTexts& texts) {
  const encoder::FeatureRequest request{
      {{static_cast<int>(encoder.config().layers), encoder::Pooling::kMean}}, {}, false};
  encoder.load();
  encoder.encode(std::span(texts.views()).first(std::min<size_t>(16, texts.views().size())),
                 request);
  Speed speed{stage_seconds([&] { encoder.encode(texts.views(), request); })};
  for (const int32_t length : texts.lengths())
    speed.flops += static_cast<double>(encoder.flops(length));
  return speed;
}

ExpertSpeed expert_speed(pipeline::Pool& pool, pipeline::InstalledExpert& installed,
                         const SpeedTexts& texts) {
  constexpr int64_t kBatch = 128;
  const at::NoGradGuard no_grad;
  experts::Expert& expert = *installed.expert;
  const encoder::Features features = pipeline::features_of(pool, texts.views(), expert.request());
  ExpertSpeed speed;
  speed.all.seconds = stage_seconds([&] {
    for (int64_t first = 0; first < features.rows(); first += kBatch)
      expert.forward(features.slice(first, std::min(kBatch, features.rows() - first)));
  });
  for (const int32_t length : texts.lengths()) speed.all.flops += expert.flops().of(length);
  const int64_t many = std::min<int64_t>(32, features.rows());
  speed.microseconds_batch_1 = microseconds_per_call(expert, features.slice(0, 1));
  speed.microseconds_batch_32 = microseconds_per_call(expert, features.slice(0, many));
  return speed;
}

RoutingSpeed routing_speed(pipeline::Collaboration& collaboration, const SpeedTexts& texts) {
  pipeline::RoutedTexts routed =
      collaboration.route(texts.views(), collaboration.recall_outputs(texts.views()));
  const pipeline::Answers answers = collaboration.answer(routed);
  const encoder::Features& features = routed.encoded.all();
  const gate::Gate& gate = collaboration.gate();
  const at::NoGradGuard no_grad;
  RoutingSpeed speed;
  speed.gate.seconds = stage_seconds([&] {
    gate::routing_weights(gate.router_logits(gate.input(features)), collaboration.top_k());
  });
  speed.gate.flops =
      static_cast<double>(gate.flops_per_text()) * static_cast<double>(texts.count());
  speed.fusion.seconds = stage_seconds([&] {
    fusion::fuse(collaboration.fusion(), answers.weights, answers.logits,
                 collaboration.expert_labels(), collaboration.pool().labels());
  });
  return speed;
}

}  // namespace moecollab::evaluation
