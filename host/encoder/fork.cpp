#include "encoder/fork.h"

#include <ATen/core/grad_mode.h>
#include <c10/core/DeviceGuard.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <vector>

#include "encoder/device.h"
#include "encoder/device_blocks.h"

namespace moecollab::encoder {
namespace {

class CpuFork final : public Fork {
 public:
  CpuFork(Blocks blocks, int64_t batch_tokens, std::shared_ptr<SpareBuffers> spare)
      : blocks_(std::move(blocks)), batch_tokens_(batch_tokens), spare_(std::move(spare)) {}

  void means(const at::Tensor& states, std::span<const int32_t> row_offsets,
             at::Tensor& out) const override {
    blocks_.means(states.const_data_ptr<float>(), row_offsets, batch_tokens_, *spare_,
                  out.mutable_data_ptr<float>());
  }

 private:
  Blocks blocks_;
  int64_t batch_tokens_;
  std::shared_ptr<SpareBuffers> spare_;
};

class DeviceFork final : public Fork {
 public:
  DeviceFork(DeviceBlocks blocks, int64_t batch_tokens)
      : blocks_(std::move(blocks)), batch_tokens_(batch_tokens) {}

  void means(const at::Tensor& states, std::span<const int32_t> row_offsets,
             at::Tensor& out) const override {
    const at::NoGradGuard no_grad;
    const c10::DeviceGuard guard(blocks_.options().device());
    for (size_t first = 0; first + 1 < row_offsets.size();) {
      const size_t end = end_of_pass(row_offsets, first);
      pass(states, row_offsets, first, end, out);
      first = end;
    }
  }

 private:
  // One text at least.
  size_t end_of_pass(std::span<const int32_t> row_offsets, size_t first) const {
    size_t end = first + 1;
    while (end + 1 < row_offsets.size() && end - first < kMostSequences &&
           row_offsets[end + 1] - row_offsets[first] <= batch_tokens_) {
      ++end;
    }
    return end;
  }

  // Texts [first, end), in two halves if the device has no memory for them.
  void pass(const at::Tensor& states, std::span<const int32_t> row_offsets, size_t first,
            size_t end, at::Tensor& out) const {
    try {
      return pass_of(states, row_offsets, first, end, out);
    } catch (const c10::Error& error) {
      if (end - first == 1 || !is_out_of_memory(error)) throw;
    }
    const size_t middle = first + (end - first) / 2;
    pass(states, row_offsets, first, middle, out);
    pass(states, row_offsets, middle, end, out);
  }

  void pass_of(const at::Tensor& states, std::span<const int32_t> row_offsets, size_t first,
               size_t end, at::Tensor& out) const {
    const at::Device device = blocks_.options().device();
    std::vector<int32_t> lengths;
    for (size_t i = first; i < end; ++i) lengths.push_back(row_offsets[i + 1] - row_offsets[i]);
    const at::Tensor own =
        states.narrow(0, row_offsets[first], row_offsets[end] - row_offsets[first]);
    const at::Tensor from = own.is_cpu() ? staged(own, device) : own;
    const PackedSequences sequences = pack_sequences(lengths, device);
    const at::Tensor last = blocks_.run(from.to(blocks_.options(), /*non_blocking=*/true), 0,
                                        blocks_.count(), sequences);
    out.narrow(0, static_cast<int64_t>(first), std::ssize(lengths))
        .copy_(pooled(last, sequences, Pooling::kMean));
  }

  static at::Tensor staged(const at::Tensor& states, at::Device device) {
    return staging_tensor(states.sizes(), at::kFloat, device).copy_(states);
  }

  DeviceBlocks blocks_;
  int64_t batch_tokens_;
};

}  // namespace

std::unique_ptr<Fork> make_fork(const BertConfig& config, int64_t count,
                                const Blocks::WeightOf& weight, Device device, int64_t batch_tokens,
                                std::shared_ptr<SpareBuffers> spare) {
  if (device.is_cpu()) {
    return std::make_unique<CpuFork>(Blocks(config, count, weight, Precision::kFp32), batch_tokens,
                                     std::move(spare));
  }
  return std::make_unique<DeviceFork>(
      DeviceBlocks(config, count, weight, Precision::kFp32, to_torch(device)), batch_tokens);
}

}  // namespace moecollab::encoder
