#include "ablation/padding.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "encoder/features.h"
#include "fusion/fusion.h"

namespace moecollab::ablation {
namespace {

constexpr int kNarrow = 2, kWide = 50;
constexpr int64_t kTexts = 512;

std::vector<std::string> numbered(int count) {
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) names.push_back(std::to_string(i));
  return names;
}

// The two spaces. A padded expert has the wide one's columns in a space of its own: fusion by
// position then sees just what padding gives it.
struct Experts {
  explicit Experts(int narrow_columns) {
    for (const int width : {narrow_columns, kWide}) {
      const int space =
          labels.add({width == kWide && !both.empty() ? "wide/1" : "narrow/1", numbered(width)},
                     /*partial=*/false);
      both.push_back(
          {space, labels.columns(space, labels.spaces()[static_cast<size_t>(space)].labels)});
    }
  }
  fusion::LabelUnion labels;
  std::vector<fusion::ExpertLabels> both;
};

// Classes [n] of the texts, the first half of the narrow space: as global ids.
at::Tensor targets(const Experts& experts, const at::Generator& generator) {
  const at::Tensor narrow = at::randint(kNarrow, {kTexts / 2}, generator, at::kLong);
  const at::Tensor wide = at::randint(kWide, {kTexts / 2}, generator, at::kLong);
  return at::cat({narrow + experts.labels.range(experts.both[0].space).offset,
                  wide + experts.labels.range(experts.both[1].space).offset});
}

// The narrow expert's logits as the fusion takes them: 0 in the columns that it does not have
// (paper), or −∞ (masked).
at::Tensor padded(const at::Tensor& own, fusion::Mode mode) {
  if (fusion::is_task_agnostic(mode)) return own;
  const double nothing =
      mode == fusion::Mode::kPaper ? 0.0 : -std::numeric_limits<double>::infinity();
  return at::cat({own, at::full({own.size(0), kWide - kNarrow}, nothing)}, 1);
}

double total(const at::Tensor& values) { return values.sum().item<double>(); }

double share(double part, double other) { return part + other == 0 ? 0 : part / (part + other); }

}  // namespace

Json padding_gradients(fusion::Mode mode, uint64_t seed) {
  const at::AutoGradMode with_gradients(true);
  const auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  const at::Tensor own = at::randn({kTexts, kNarrow}, generator, at::kFloat);
  const at::Tensor wide = at::randn({kTexts, kWide}, generator, at::kFloat);
  const bool agnostic = fusion::is_task_agnostic(mode);
  const Experts experts(agnostic ? kNarrow : kWide);
  const at::Tensor narrow = padded(own, mode).requires_grad_();
  const at::Tensor fused =
      fusion::fuse(mode, at::full({kTexts, 2}, 0.5), {narrow, wide}, experts.both, experts.labels);
  const at::Tensor loss =
      fusion::task_loss(mode, fused, targets(experts, generator), experts.labels);
  const at::Tensor squares =
      torch::autograd::grad({loss}, {narrow})[0].to(at::kDouble).square();  // [texts, columns]
  const at::Tensor real = squares.narrow(1, 0, kNarrow);
  const at::Tensor beyond = squares.narrow(1, kNarrow, squares.size(1) - kNarrow);
  const double own_texts = total(real.narrow(0, 0, kTexts / 2));
  Json json = {{"classes", {kNarrow, kWide}},
               {"texts", kTexts},
               {"columns", encoder::to_doubles(squares.sum(0).sqrt())},
               {"real", std::sqrt(total(real))},
               {"padded", std::sqrt(total(beyond))},
               {"padded_share", share(total(beyond), total(real))},
               {"foreign_share", share(total(real) - own_texts, own_texts)},
               {"answered_padding", nullptr}};
  if (!agnostic) {
    json["answered_padding"] = fused.detach()
                                   .narrow(0, 0, kTexts / 2)
                                   .argmax(1)
                                   .ge(kNarrow)
                                   .to(at::kDouble)
                                   .mean()
                                   .item<double>();
  }
  return json;
}

}  // namespace moecollab::ablation
