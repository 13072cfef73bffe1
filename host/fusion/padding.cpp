#include "fusion/padding.h"

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

namespace moecollab::fusion {
namespace {

constexpr int64_t kTexts = 512;

std::vector<std::string> numbered(int count) {
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) names.push_back(std::to_string(i));
  return names;
}

// The two spaces. A padded expert has as many columns as the wide one, in a space of its own:
// fusion by position then sees just what padding gives it.
struct Experts {
  Experts(int first, int second) {
    for (const auto& [name, width] : {std::pair("narrow/1", first), std::pair("wide/1", second)}) {
      const std::vector<std::string> names = numbered(width);
      const int space = labels.add({name, names}, /*partial=*/false);
      both.push_back({space, labels.columns(space, names)});
    }
  }
  LabelUnion labels;
  std::vector<ExpertLabels> both;
};

// The narrow expert's logits as the fusion takes them: 0 in the columns that it does not have
// (paper), or −∞ (masked).
at::Tensor padded(const at::Tensor& own, Mode mode, int wide) {
  if (is_task_agnostic(mode)) return own;
  const double nothing = mode == Mode::kPaper ? 0.0 : -std::numeric_limits<double>::infinity();
  return at::cat({own, at::full({own.size(0), wide - own.size(1)}, nothing)}, 1);
}

double total(const at::Tensor& values) { return values.sum().item<double>(); }

double share(double part, double other) { return part + other == 0 ? 0 : part / (part + other); }

}  // namespace

Json padding_gradients(Mode mode, int narrow, int wide, uint64_t seed) {
  const at::AutoGradMode with_gradients(true);
  const auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  const auto drawn = [&](int classes) {
    return at::randn({kTexts, classes}, generator, at::kFloat);
  };
  const at::Tensor own = drawn(narrow), other = drawn(wide);
  const bool agnostic = is_task_agnostic(mode);
  const Experts experts(agnostic ? narrow : wide, wide);
  // The first half of the texts is of the narrow space.
  const auto targets = [&](size_t e, int classes) {
    return at::randint(classes, {kTexts / 2}, generator, at::kLong) + experts.both[e].columns[0];
  };
  const at::Tensor first = targets(0, narrow), second = targets(1, wide);
  const at::Tensor seen = padded(own, mode, wide).requires_grad_();
  const at::Tensor fused =
      fuse(mode, at::full({kTexts, 2}, 0.5), {seen, other}, experts.both, experts.labels);
  const at::Tensor loss = task_loss(mode, fused, at::cat({first, second}), experts.labels);
  const at::Tensor squares =
      torch::autograd::grad({loss}, {seen})[0].to(at::kDouble).square();  // [texts, columns]
  const at::Tensor real = squares.narrow(1, 0, narrow);
  const double beyond = total(squares.narrow(1, narrow, squares.size(1) - narrow));
  const double own_texts = total(real.narrow(0, 0, kTexts / 2));
  Json json = {{"classes", {narrow, wide}},
               {"texts", kTexts},
               {"columns", encoder::to_doubles(squares.sum(0).sqrt())},
               {"real", std::sqrt(total(real))},
               {"padded", std::sqrt(beyond)},
               {"padded_share", share(beyond, total(real))},
               {"foreign_share", share(total(real) - own_texts, own_texts)},
               {"answered_padding", nullptr}};
  if (!agnostic) {
    const at::Tensor answer = fused.detach().narrow(0, 0, kTexts / 2).argmax(1);
    json["answered_padding"] = answer.ge(narrow).to(at::kDouble).mean().item<double>();
  }
  return json;
}

}  // namespace moecollab::fusion
