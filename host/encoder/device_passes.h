// Many passes on a device: the host prepares the next while the device computes.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "base/run_context.h"
#include "encoder/device_bert.h"

namespace moecollab::encoder {

// Not thread-safe.
class DevicePasses {
 public:
  // Runs a pass over a made-up text, since the first one of a process makes what all need.
  DevicePasses(const EncoderFolder& folder, const Compute& compute, Log log);

  using Texts = std::vector<int64_t>;  // of one pass, by index
  using Begin = std::function<PassStart(const Texts& texts)>;
  using Deliver = std::function<void(const Texts& texts, const PassResult& result)>;

  // A pass over each batch, in order, until `stopped`; what was begun is delivered. A batch that
  // the device has no memory for is halved, with a warning, and no later one is larger.
  // Throws E_CONFIG if it has none for a single text.
  void run(std::span<const Texts> batches, std::span<const int32_t> lengths,
           const FeatureRequest& request, const Begin& begin, const Deliver& deliver,
           const std::function<bool()>& stopped);

 private:
  int64_t tokens(const Texts& texts, std::span<const int32_t> lengths) const;
  void take_less(const Texts& texts, std::span<const int32_t> lengths, const std::string& why);

  DeviceBert model_;
  Log log_;
  int64_t most_tokens_;  // of a pass
};

}  // namespace moecollab::encoder
