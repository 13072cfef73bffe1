#include "torch/packed_attention.h"

#include <ATen/ATen.h>
#include <torch/library.h>

#include <cmath>

#include "torch/test_device_memory.h"

namespace moecollab::testing {
namespace {

using OptionalTensor = std::optional<at::Tensor>;

// Contexts [T, heads, width] of queries, keys and values of that shape. Sums are in double.
at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                  const at::Tensor& offsets, int64_t longest) {
  const at::Tensor from[] = {mirror_of(q), mirror_of(k), mirror_of(v)};
  const at::Tensor ends = mirror_of(offsets);
  TORCH_CHECK(offsets.device() == q.device() && offsets.scalar_type() == at::kInt,
              "cumulative lengths are int32 on the device");
  const int32_t* end = ends.const_data_ptr<int32_t>();
  const int64_t sequences = ends.numel() - 1;
  TORCH_CHECK(end[0] == 0 && end[sequences] == q.size(0), "cumulative lengths end elsewhere");
  at::Tensor context = at::empty(q.sizes(), from[0].options());
  for (int64_t i = 0; i < sequences; ++i) {
    const int64_t first = end[i], length = end[i + 1] - first;
    TORCH_CHECK(length >= 1 && length <= longest, "a sequence is longer than the longest");
    const auto part = [&](const at::Tensor& x) {
      return x.narrow(0, first, length).to(at::kDouble).transpose(0, 1);  // [heads, length, width]
    };
    const double scale = 1 / std::sqrt(static_cast<double>(q.size(2)));
    const at::Tensor share =
        at::softmax(at::bmm(part(from[0]), part(from[1]).transpose(1, 2)) * scale, -1);
    context.narrow(0, first, length).copy_(at::bmm(share, part(from[2])).transpose(0, 1));
  }
  return take_over(context);
}

void require_plain(const at::Tensor& x, bool half, int64_t dimensions) {
  const bool is_half = x.scalar_type() == at::kHalf || x.scalar_type() == at::kBFloat16;
  TORCH_CHECK(is_half == half, "no attention for ", x.scalar_type());
  TORCH_CHECK(x.dim() == dimensions && x.stride(-1) == 1, "heads lie side by side");
  TORCH_CHECK(x.size(-1) % 8 == 0 && x.size(-1) <= 256, "no attention for that width");
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor> flash(
    const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const OptionalTensor& ends_q,
    const OptionalTensor& ends_k, c10::SymInt longest_q, c10::SymInt longest_k, double dropout,
    bool causal, bool debug, std::optional<double> scale, std::optional<c10::SymInt> left,
    std::optional<c10::SymInt> right, const OptionalTensor& used, const OptionalTensor& slopes,
    const OptionalTensor& table, std::optional<int64_t> splits) {
  for (const at::Tensor& x : {q, k, v}) require_plain(x, /*half=*/true, 3);
  TORCH_CHECK(ends_q && ends_k && longest_q == longest_k && dropout == 0 && !causal && !debug &&
                  !scale && !left && !right && !used && !slopes && !table && !splits,
              "only what inference over packed sequences needs");
  return {attend(q, k, v, *ends_q, longest_q.expect_int()), {}, {}, {}, {}};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, c10::SymInt, c10::SymInt> efficient(
    const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const OptionalTensor& bias,
    const OptionalTensor& ends_q, const OptionalTensor& ends_k,
    std::optional<c10::SymInt> longest_q, std::optional<c10::SymInt> longest_k, double dropout,
    int64_t mask, bool sums, std::optional<double> scale, const OptionalTensor& lengths,
    std::optional<int64_t> window) {
  for (const at::Tensor& x : {q, k, v}) {
    require_plain(x, /*half=*/false, 4);
    TORCH_CHECK(x.size(0) == 1, "packed sequences are a batch of one");
  }
  TORCH_CHECK(ends_q && ends_k && longest_q && longest_q == longest_k && dropout == 0 &&
                  mask == 0 && !sums && !bias && !scale && !lengths && !window,
              "only what inference over packed sequences needs");
  const at::Tensor context =
      attend(q.squeeze(0), k.squeeze(0), v.squeeze(0), *ends_q, longest_q->expect_int());
  return {context.unsqueeze(0), {}, {}, {}, *longest_q, *longest_k};
}

}  // namespace

void use_packed_attention() {
  static const bool registered = [] {
    // It withdraws its kernels when it is destroyed.
    auto& aten = *new torch::Library(torch::Library::IMPL, "aten", c10::DispatchKey::PrivateUse1,
                                     __FILE__, __LINE__);
    aten.impl("_flash_attention_forward", TORCH_FN(flash));
    aten.impl("_efficient_attention_forward", TORCH_FN(efficient));
    return true;
  }();
  TORCH_CHECK(registered);
}

}  // namespace moecollab::testing
