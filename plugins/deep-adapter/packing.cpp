#include "packing.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <limits>
#include <numeric>

namespace moecollab::deep_adapter {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

constexpr int64_t kLengthStep = 8;
constexpr int64_t kFewRows = 256, kFewRowsStep = 16, kRowsStep = 64;

int64_t rounded_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

// Texts from `begin` that share a block: those that are padded to its length by themselves, and
// those of at least four fifths of it.
size_t end_of_group(const std::vector<int64_t>& lengths, size_t begin) {
  const int64_t length = rounded_up(lengths[begin], kLengthStep);
  const int64_t least = std::min(length - kLengthStep + 1, length * 4 / 5);
  size_t end = begin + 1;
  while (end < lengths.size() && lengths[end] >= least) ++end;
  return end;
}

LengthGroup group_of(const std::vector<int64_t>& lengths, size_t begin, size_t end, int64_t first,
                     int64_t spare) {
  LengthGroup g;
  g.texts = static_cast<int64_t>(end - begin);
  g.length = rounded_up(lengths[begin], kLengthStep);
  g.first = first;
  g.tokens = std::accumulate(lengths.begin() + static_cast<ptrdiff_t>(begin),
                             lengths.begin() + static_cast<ptrdiff_t>(end), int64_t{0});
  g.padded = at::empty({g.texts * g.length}, at::kLong);
  g.padded_gradient = at::full({g.texts * g.length}, spare, at::kLong);
  g.real = at::empty({g.tokens}, at::kLong);
  g.mask = at::full({g.texts, 1, 1, g.length}, -std::numeric_limits<float>::infinity());
  auto* padded = g.padded.mutable_data_ptr<int64_t>();
  auto* gradient = g.padded_gradient.mutable_data_ptr<int64_t>();
  auto* real = g.real.mutable_data_ptr<int64_t>();
  auto* mask = g.mask.mutable_data_ptr<float>();
  int64_t row = first;
  for (int64_t text = 0; text < g.texts; ++text) {
    std::fill_n(padded + text * g.length, g.length, row);
    const int64_t length = lengths[begin + static_cast<size_t>(text)];
    for (int64_t place = text * g.length; place < text * g.length + length; ++place, ++row) {
      padded[place] = gradient[place] = row;
      mask[place] = 0;
      *real++ = place;
    }
  }
  return g;
}

// On a device one operator takes the place of one per text: a bag is a text, a word its row.
at::Tensor means_on_device(const at::Tensor& x, const Packing& packing) {
  constexpr int64_t kMean = 1;
  return std::get<0>(at::_embedding_bag_forward_only(
      x, at::arange(packing.tokens, packing.first_row.options()), packing.first_row,
      /*scale_grad_by_freq=*/false, kMean));
}

at::Tensor gradient_on_device(const at::Tensor& of_means, const Packing& packing) {
  at::Tensor found = at::zeros({packing.rows, of_means.size(1)}, of_means.options());
  found.narrow(0, 0, packing.tokens)
      .copy_(of_means.index_select(0, packing.text_of_row) * packing.share.unsqueeze(1));
  return found;
}

at::Tensor means(const at::Tensor& x, const Packing& packing) {
  if (!x.is_cpu()) return means_on_device(x, packing);
  at::Tensor found =
      at::empty({static_cast<int64_t>(packing.lengths.size()), x.size(1)}, x.options());
  int64_t first = 0;
  for (size_t i = 0; i < packing.lengths.size(); ++i) {
    at::Tensor row = found[static_cast<int64_t>(i)];
    at::mean_out(row, x.narrow(0, first, packing.lengths[i]), 0);
    first += packing.lengths[i];
  }
  return found;
}

// Moves the indices and numbers of `packing` to the device, all of a type in one copy.
void move_to(at::Device device, Packing& packing) {
  const auto texts = static_cast<int64_t>(packing.lengths.size());
  packing.first_row = at::empty({texts}, at::kLong);
  packing.text_of_row = at::empty({packing.tokens}, at::kLong);
  packing.share = at::empty({packing.tokens});
  int64_t first = 0;
  for (int64_t text = 0; text < texts; ++text) {
    const int64_t length = packing.lengths[static_cast<size_t>(text)];
    packing.first_row.mutable_data_ptr<int64_t>()[text] = first;
    std::fill_n(packing.text_of_row.mutable_data_ptr<int64_t>() + first, length, text);
    std::fill_n(packing.share.mutable_data_ptr<float>() + first, length,
                1 / static_cast<float>(length));
    first += length;
  }
  std::vector<at::Tensor*> indices = {&packing.first_row, &packing.text_of_row},
                           numbers = {&packing.share};
  for (LengthGroup& g : packing.groups) {
    indices.insert(indices.end(), {&g.padded, &g.padded_gradient, &g.real});
    numbers.push_back(&g.mask);
  }
  for (const std::vector<at::Tensor*>& together : {indices, numbers}) {
    std::vector<at::Tensor> flat;
    for (const at::Tensor* tensor : together) flat.push_back(tensor->flatten());
    const at::Tensor sent = at::cat(flat).to(device);
    int64_t at = 0;
    for (at::Tensor* tensor : together) {
      const int64_t count = tensor->numel();
      *tensor = sent.narrow(0, at, count).view(tensor->sizes());
      at += count;
    }
  }
}

struct MeanPerText : torch::autograd::Function<MeanPerText> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                            const c10::intrusive_ptr<Packing>& packing) {
    context->saved_data["packing"] = c10::IValue::make_capsule(packing);
    return means(x, *packing);
  }

  static tensor_list backward(AutogradContext* context, const tensor_list& grads) {
    const at::NoGradGuard no_grad;
    const auto held =
        c10::static_intrusive_pointer_cast<Packing>(context->saved_data["packing"].toCapsule());
    const Packing& packing = *held;
    if (!grads[0].is_cpu()) return {gradient_on_device(grads[0], packing), at::Tensor()};
    at::Tensor found = at::zeros({packing.rows, grads[0].size(1)}, grads[0].options());
    int64_t first = 0;
    for (size_t i = 0; i < packing.lengths.size(); ++i) {
      const at::Tensor row = grads[0][static_cast<int64_t>(i)];
      found.narrow(0, first, packing.lengths[i]).copy_(row / packing.lengths[i]);
      first += packing.lengths[i];
    }
    return {found, at::Tensor()};
  }
};

}  // namespace

Packing::Packing(std::vector<int64_t> lengths_of_texts, at::Device device)
    : lengths(std::move(lengths_of_texts)),
      tokens(std::accumulate(lengths.begin(), lengths.end(), int64_t{0})),
      rows(rounded_up(tokens + 1, tokens < kFewRows ? kFewRowsStep : kRowsStep)) {
  int64_t first = 0;
  for (size_t begin = 0; begin < lengths.size();) {
    const size_t end = end_of_group(lengths, begin);
    groups.push_back(group_of(lengths, begin, end, first, /*spare=*/tokens));
    first += groups.back().tokens;
    begin = end;
  }
  if (!device.is_cpu()) move_to(device, *this);
}

at::Tensor mean_per_text(const at::Tensor& x, const c10::intrusive_ptr<Packing>& packing) {
  if (!at::GradMode::is_enabled()) return means(x, *packing);
  return MeanPerText::apply(x, packing);
}

}  // namespace moecollab::deep_adapter
