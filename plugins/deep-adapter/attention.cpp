#include "attention.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

namespace moecollab::deep_adapter {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

// Rows [rows, parts·H] of a group's texts, by part and head: [parts, texts·heads, length, d].
at::Tensor by_head(const at::Tensor& packed, const at::Tensor& places, const LengthGroup& g,
                   int64_t parts, int64_t heads) {
  const int64_t width = packed.size(1) / parts / heads;
  return packed.index_select(0, places)
      .view({g.texts, g.length, parts, heads, width})
      .permute({2, 0, 3, 1, 4})
      .reshape({parts, g.texts * heads, g.length, width});
}

// The inverse: the rows of the group's real tokens.
void put_back(const at::Tensor& headwise, const LengthGroup& g, int64_t heads, at::Tensor& packed) {
  const int64_t parts = headwise.size(0), width = headwise.size(3);
  const at::Tensor rows = headwise.view({parts, g.texts, heads, g.length, width})
                              .permute({1, 3, 0, 2, 4})
                              .reshape({g.texts * g.length, parts * heads * width});
  packed.narrow(0, g.first, g.tokens).copy_(rows.index_select(0, g.real));
}

// Shares [texts·heads, length, length] of the keys, float32.
at::Tensor shares(const at::Tensor& q, const at::Tensor& k, const LengthGroup& g, int64_t heads) {
  const at::Tensor scores =
      at::bmm(q, k.transpose(1, 2)).to(at::kFloat).view({g.texts, heads, g.length, g.length});
  const double scale = 1 / std::sqrt(static_cast<double>(q.size(2)));
  return at::softmax(at::add(g.mask, scores, scale), -1).view({-1, g.length, g.length});
}

// The contexts [rows, H]; with `kept`, what their gradients need of each group goes there.
at::Tensor contexts(const at::Tensor& qkv, const Packing& packing, int64_t heads,
                    tensor_list* kept) {
  at::Tensor found = at::zeros({qkv.size(0), qkv.size(1) / 3}, qkv.options());
  for (const LengthGroup& g : packing.groups) {
    const at::Tensor parts = by_head(qkv, g.padded, g, 3, heads);
    const at::Tensor share = shares(parts[0], parts[1], g, heads).to(qkv.scalar_type());
    put_back(at::bmm(share, parts[2]).unsqueeze(0), g, heads, found);
    if (kept != nullptr) kept->insert(kept->end(), {parts, share});
  }
  return found;
}

// Gradients of q, k and v [3, texts·heads, length, d] from that of the context.
at::Tensor gradients(const at::Tensor& g_context, const at::Tensor& parts,
                     const at::Tensor& share) {
  const at::Tensor g_share = at::bmm(g_context, parts[2].transpose(1, 2)).to(at::kFloat);
  const double scale = 1 / std::sqrt(static_cast<double>(parts.size(3)));
  const at::Tensor g_scores =
      at::_softmax_backward_data(g_share, share.to(at::kFloat), -1, at::kFloat)
          .mul_(scale)
          .to(g_context.scalar_type());
  at::Tensor found = at::empty_like(parts);
  at::Tensor q = found[0], k = found[1], v = found[2];
  at::bmm_out(q, g_scores, parts[1]);
  at::bmm_out(k, g_scores.transpose(1, 2), parts[0]);
  at::bmm_out(v, share.transpose(1, 2), g_context);
  return found;
}

struct Attention : torch::autograd::Function<Attention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& qkv,
                            const c10::intrusive_ptr<Packing>& packing, int64_t heads) {
    tensor_list kept;
    at::Tensor found = contexts(qkv, *packing, heads, &kept);
    context->save_for_backward(std::move(kept));
    context->saved_data["heads"] = heads;
    context->saved_data["packing"] = c10::IValue::make_capsule(packing);
    return found;
  }

  static tensor_list backward(AutogradContext* context, const tensor_list& grads) {
    const at::NoGradGuard no_grad;
    const tensor_list kept = context->get_saved_variables();
    const int64_t heads = context->saved_data["heads"].toInt();
    const auto packing =
        c10::static_intrusive_pointer_cast<Packing>(context->saved_data["packing"].toCapsule());
    const at::Tensor& gy = grads[0];
    at::Tensor found = at::zeros({gy.size(0), 3 * gy.size(1)}, gy.options());
    for (size_t i = 0; i < kept.size() / 2; ++i) {
      const LengthGroup& g = packing->groups[i];
      const at::Tensor g_context = by_head(gy, g.padded_gradient, g, 1, heads)[0];
      put_back(gradients(g_context, kept[2 * i], kept[2 * i + 1]), g, heads, found);
    }
    return {found, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor attention(const at::Tensor& qkv, const c10::intrusive_ptr<Packing>& packing,
                     int64_t heads) {
  if (!at::GradMode::is_enabled()) return contexts(qkv, *packing, heads, nullptr);
  return Attention::apply(qkv, packing, heads);
}

}  // namespace moecollab::deep_adapter
