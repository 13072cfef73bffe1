#include "encoder/device_passes.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <deque>
#include <limits>
#include <optional>

#include "base/error.h"
#include "base/strings.h"
#include "encoder/device.h"

namespace moecollab::encoder {
namespace {

// What LibTorch says of a lack of memory, with its figures and without where in its code it was.
std::string figures(const c10::Error& error) {
  return escaped(error.what_without_backtrace(), 300);
}

}  // namespace

DevicePasses::DevicePasses(const EncoderFolder& folder, const Compute& compute, Log log)
    : model_(folder, compute.precision, to_torch(compute.device)),
      log_(log),
      most_tokens_(std::numeric_limits<int64_t>::max()) {
  PassStart made_up;
  made_up.lengths = {1};
  made_up.ids = {0};
  FeatureRequest last;
  last.pooled = {{static_cast<int>(folder.config.layers), Pooling::kMean}};
  model_.forward(made_up, last).wait();
}

int64_t DevicePasses::tokens(const Texts& texts, std::span<const int32_t> lengths) const {
  int64_t sum = 0;
  for (const int64_t text : texts) sum += lengths[static_cast<size_t>(text)];
  return sum;
}

void DevicePasses::take_less(const Texts& texts, std::span<const int32_t> lengths,
                             const std::string& why) {
  const int64_t asked = tokens(texts, lengths);
  const std::string device = model_.device().str();
  if (texts.size() == 1) {
    throw Error("E_CONFIG",
                fmt::format("{} has no memory for a text of {} tokens: {}", device, asked, why),
                "end what else uses it, or use --precision fp16, or --device cpu");
  }
  most_tokens_ = asked / 2;
  log_.warning(fmt::format("{} has no memory for {} tokens at once ({}); from now on {} at most",
                           device, asked, why, most_tokens_));
}

void DevicePasses::run(std::span<const Texts> batches, std::span<const int32_t> lengths,
                       const FeatureRequest& request, const Begin& begin, const Deliver& deliver,
                       const std::function<bool()>& stopped) {
  struct Running {
    Texts texts;
    PassResult result;
  };
  std::optional<Running> running;
  const auto finish = [&] {
    if (!running) return;
    Running ended = *std::exchange(running, std::nullopt);
    ended.result.wait();
    deliver(ended.texts, ended.result);
  };
  std::deque<Texts> waiting(batches.begin(), batches.end());
  while (!waiting.empty() && !stopped()) {
    Texts texts = std::move(waiting.front());
    waiting.pop_front();
    if (std::ssize(texts) > kMostSequences ||
        (texts.size() > 1 && tokens(texts, lengths) > most_tokens_)) {
      const auto middle = texts.begin() + std::ssize(texts) / 2;
      waiting.emplace_front(middle, texts.end());
      waiting.emplace_front(texts.begin(), middle);
      continue;
    }
    std::optional<std::string> lacking;
    try {
      PassResult result = model_.forward(begin(texts), request);
      finish();
      running.emplace(Running{std::move(texts), std::move(result)});
    } catch (const c10::Error& error) {
      if (!is_out_of_memory(error)) throw;
      lacking = figures(error);
    }
    if (!lacking) continue;
    const bool was_running = running.has_value();
    finish();  // which frees memory
    if (!was_running) take_less(texts, lengths, *lacking);
    waiting.push_front(std::move(texts));
  }
  finish();
}

}  // namespace moecollab::encoder
