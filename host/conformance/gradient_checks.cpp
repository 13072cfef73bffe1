// Level 4, by the host's optimiser: gradients are right, and storage is the host's.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <vector>

#include "base/strings.h"
#include "conformance/check.h"
#include "conformance/distance.h"
#include "conformance/test_expert.h"
#include "conformance/training_pass.h"

namespace moecollab::conformance {
namespace {

// Elements that are compared with differences: of each tensor, and of all if there are many
// tensors.
constexpr size_t kElements = 6, kAllElements = 80, kFewestElements = 2;

// How gradients are held against central differences. One step that agrees is enough: long ones
// cross the kinks of a ReLU, short ones drown in rounding. Products of bf16 factors have 8
// significant bits, so that a difference says something only over a great step, and then roughly.
struct Differences {
  std::vector<float> steps;  // times the element, at least times 1
  double tolerance;          // relative
};
Differences differences_in(Precision precision) {
  return precision == Precision::kBf16 ? Differences{{5e-2F}, 0.2}
                                       : Differences{{1e-2F, 3e-3F, 1e-3F}, 5e-3};
}

// Answers do not change at all with a parameter that has a gradient.
constexpr const char* kKeepsValues =
    "what is derived from parameters is out of date: make it again in params_changed(), which "
    "follows every change of values, those after bind() and init() too";

double dot(const std::vector<float>& gy, const std::vector<float>& logits) {
  double sum = 0;
  for (size_t i = 0; i < gy.size(); ++i) sum += static_cast<double>(gy[i]) * logits[i];
  return sum;
}

double value_of(Subject& subject, TrainingScene& scene) {
  return dot(scene.gy, TrainingPass(subject, scene.expert, scene.batch).logits());
}

// The elements of a tensor with the greatest gradients: there a difference says most.
std::vector<size_t> telling(const float* gradient, size_t count, size_t tensors) {
  std::vector<size_t> order(count);
  for (size_t i = 0; i < count; ++i) order[i] = i;
  const size_t n = std::min(std::clamp(kAllElements / tensors, kFewestElements, kElements), count);
  std::partial_sort(
      order.begin(), order.begin() + static_cast<ptrdiff_t>(n), order.end(),
      [&](size_t a, size_t b) { return std::abs(gradient[a]) > std::abs(gradient[b]); });
  // And some in between, which may wrongly be 0.
  std::vector<size_t> chosen(order.begin(), order.begin() + static_cast<ptrdiff_t>(n));
  for (size_t i = 0; i < n / 2 && i < 2 && count > n; ++i) chosen.push_back((i + 1) * count / 3);
  return chosen;
}

// d⟨gy, y⟩/dx of one element, by the differences to both sides.
struct Slopes {
  double left, right;
  double central() const { return (left + right) / 2; }
};

// How ⟨gy, y⟩ is made again after an element was written: `changed`, then `value`.
struct Objective {
  std::function<double()> value;
  std::function<void()> changed;
  double at_rest;  // before anything was written

  // What is derived from the element's own value is out of date after it, until the next write is
  // said.
  Slopes slopes(float& element, float relative_step) const {
    const float before = element;
    const float step = relative_step * std::max(1.0F, std::abs(before));
    element = before + step;
    changed();
    const double up = value();
    element = before - step;
    changed();
    const double down = value();
    element = before;
    return {(at_rest - down) / static_cast<double>(step),
            (up - at_rest) / static_cast<double>(step)};
  }
};

// The element's derivative if `gradient` is another, on the scale of its tensor. Beside a kink the
// slope of one side is enough.
std::optional<double> disagreement(double gradient, float& element, double scale,
                                   const Differences& how, const Objective& objective) {
  std::optional<double> first;
  const double bound = how.tolerance * std::max(scale, 0.05);
  for (const float step : how.steps) {
    const Slopes slopes = objective.slopes(element, step);
    for (const double expected : {slopes.central(), slopes.left, slopes.right})
      if (std::abs(gradient - expected) <= bound) return std::nullopt;
    if (!first) first = slopes.central();
  }
  return first;
}

void check_bind(Subject& subject, Findings& findings) {
  if (!trainable(subject, findings)) return;
  TrainingScene scene(subject);
  const std::vector<float> before = scene.expert.forward(scene.batch);
  bool any = false;
  for (auto& p : scene.expert.parameters()) {
    if (!p.trainable) continue;
    any = true;
    for (size_t i = 0; i < p.value->count(); ++i)
      p.value->floats()[i] += 0.25F * (i % 2 == 0 ? 1 : -1);
  }
  if (!any) return findings.not_applicable("it has no trainable parameter");
  if (subject.classes() < 2) return findings.not_applicable("it has one class");
  scene.expert.params_changed();
  if (scene.expert.forward(scene.batch) == before)
    findings.add("what the host writes into bound parameters changes the logits",
                 "they are the same");
  scene.zero_gradients();
  TrainingPass(subject, scene.expert, scene.batch).vjp(scene.gy);
  double most = 0;
  for (auto& p : scene.expert.parameters()) {
    most = std::max(most, greatest(p.grad->floats(), p.grad->count()));
    if (const std::string outside = p.grad->memory.outside(); !outside.empty())
      findings.add("vjp writes into the bound gradients and nothing else", "it wrote " + outside);
  }
  if (most == 0) findings.add("vjp writes into the bound gradients", "all are 0");
}

void check_gradients(Subject& subject, Findings& findings) {
  if (!trainable(subject, findings)) return;
  const Differences how = differences_in(subject.training_precision());
  TrainingScene scene(subject);
  scene.zero_gradients();
  TrainingPass(subject, scene.expert, scene.batch).vjp(scene.gy);
  const auto value = [&] { return value_of(subject, scene); };
  const Objective objective{value, [&] { scene.expert.params_changed(); }, value()};
  for (auto& p : scene.expert.parameters()) {
    if (!p.trainable) continue;
    const float* gradient = p.grad->floats();
    const double scale = greatest(gradient, p.grad->count());
    for (const size_t i : telling(gradient, p.grad->count(), scene.expert.parameters().size())) {
      const auto expected = disagreement(gradient[i], p.value->floats()[i], scale, how, objective);
      if (!expected) continue;
      findings.add(fmt::format("the gradient of {}[{}] is {:.5g} (central differences)",
                               escaped(p.name, 80), i, *expected),
                   fmt::format("vjp says {:.5g}", gradient[i]), *expected == 0 ? kKeepsValues : "");
      break;
    }
  }
}

void check_input_gradients(Subject& subject, Findings& findings) {
  if (!trainable(subject, findings)) return;
  const Differences how = differences_in(subject.training_precision());
  TrainingScene scene(subject);
  const std::vector<GuardedTensor*> inputs = scene.batch.float_inputs();
  if (inputs.empty()) return findings.not_applicable("it reads no features");
  std::vector<std::unique_ptr<GuardedTensor>> gx;
  std::vector<const moec_tensor*> views;
  for (const GuardedTensor* input : inputs) {
    gx.push_back(std::make_unique<GuardedTensor>("gx", input->shape));
    std::fill_n(gx.back()->floats(), gx.back()->count(), 1e9F);  // written, not added to
    views.push_back(&gx.back()->view);
  }
  TrainingPass(subject, scene.expert, scene.batch).vjp(scene.gy, views);
  const auto value = [&] { return value_of(subject, scene); };
  const Objective objective{value, [] {}, value()};
  for (size_t t = 0; t < inputs.size(); ++t) {
    const float* gradient = gx[t]->floats();
    const double scale = greatest(gradient, gx[t]->count());
    for (const size_t i : telling(gradient, gx[t]->count(), inputs.size())) {
      const auto expected =
          disagreement(gradient[i], inputs[t]->floats()[i], std::min(scale, 1e3), how, objective);
      if (!expected) continue;
      findings.add(
          fmt::format("gx[{}][{}] is {:.5g} (central differences)", t, i, *expected),
          fmt::format("vjp {}", std::abs(gradient[i]) >= 9e8F
                                    ? std::string("did not write it, or added to what was there")
                                    : fmt::format("says {:.5g}", gradient[i])),
          std::abs(gradient[i]) >= 9e8F || *expected == 0
              ? ""
              : "compare what is written with finite differences of your own forward");
      break;
    }
  }
}

void check_accumulates(Subject& subject, Findings& findings) {
  if (!trainable(subject, findings)) return;
  TrainingScene scene(subject);
  scene.zero_gradients();
  TrainingPass(subject, scene.expert, scene.batch).vjp(scene.gy);
  std::vector<std::vector<float>> once;
  for (auto& p : scene.expert.parameters())
    once.emplace_back(p.grad->floats(), p.grad->floats() + p.grad->count());
  TrainingPass(subject, scene.expert, scene.batch).vjp(scene.gy);
  for (size_t t = 0; t < once.size(); ++t) {
    const auto& p = scene.expert.parameters()[t];
    const double scale = greatest(once[t].data(), once[t].size());
    for (size_t i = 0; i < once[t].size(); ++i) {
      if (std::abs(p.grad->floats()[i] - 2 * once[t][i]) <= 1e-3 * std::max(scale, 1e-3)) continue;
      findings.add(fmt::format("a second vjp adds to the gradient of {}", escaped(p.name, 80)),
                   fmt::format("element {} is {:.5g} after one and {:.5g} after two", i, once[t][i],
                               p.grad->floats()[i]));
      return;
    }
  }
}

// What each input's gradient is if it alone is asked for, and what lies round it.
void check_some_inputs(Subject& subject, Findings& findings) {
  if (!trainable(subject, findings)) return;
  TrainingScene scene(subject);
  const std::vector<GuardedTensor*> inputs = scene.batch.float_inputs();
  if (inputs.empty()) return findings.not_applicable("it reads no features");
  std::vector<std::unique_ptr<GuardedTensor>> all;
  std::vector<const moec_tensor*> views;
  for (const GuardedTensor* input : inputs) {
    all.push_back(std::make_unique<GuardedTensor>("gx", input->shape));
    views.push_back(&all.back()->view);
  }
  TrainingPass(subject, scene.expert, scene.batch).vjp(scene.gy, views);
  for (size_t t = 0; t < inputs.size(); ++t) {
    if (const std::string outside = all[t]->memory.outside(); !outside.empty())
      findings.add("vjp writes gx and nothing else", "it wrote " + outside);
    GuardedTensor alone("gx", inputs[t]->shape);
    std::fill_n(alone.floats(), alone.count(), 1e9F);
    std::vector<const moec_tensor*> one(inputs.size(), nullptr);
    one[t] = &alone.view;
    TrainingPass(subject, scene.expert, scene.batch).vjp(scene.gy, one);
    if (distance(all[t]->floats(), alone.floats(), alone.count()) > 1e-4)
      findings.add(fmt::format("gx[{}] is the same if the others are NULL", t), "it is another");
  }
  for (const auto& gx : all) std::fill_n(gx->floats(), gx->count(), 1e9F);
  TrainingPass(subject, scene.expert, scene.batch)
      .vjp(std::vector<float>(scene.gy.size(), 0.0F), views);
  for (size_t t = 0; t < inputs.size(); ++t) {
    if (greatest(all[t]->floats(), all[t]->count()) > 1e-6)
      findings.add(fmt::format("gx[{}] is written as 0 if gy is 0", t), "it holds other numbers");
  }
}

// A vjp is linear in gy, and a batch's gradients are the sum of its rows'.
void check_sums(Subject& subject, Findings& findings) {
  if (!trainable(subject, findings)) return;
  const double tolerance = subject.training_precision() == Precision::kBf16 ? 5e-2 : 1e-3;
  TrainingScene scene(subject);
  const auto classes = static_cast<size_t>(subject.classes());
  const std::vector<TestBatch::Row> rows = scene.expert.rows(scene.expert.at_most(17), 12);
  const std::vector<float> gy = cotangent(rows.size() * classes);
  const auto gradients_of = [&](size_t first, size_t count, float factor) {
    const auto begin = static_cast<ptrdiff_t>(first), end = begin + static_cast<ptrdiff_t>(count);
    const TestBatch batch = scene.expert.batch({rows.begin() + begin, rows.begin() + end});
    std::vector<float> part(gy.begin() + begin * subject.classes(),
                            gy.begin() + end * subject.classes());
    for (float& value : part) value *= factor;
    scene.zero_gradients();
    TrainingPass(subject, scene.expert, batch, /*training=*/false).vjp(part);
    return scene.gradients();
  };
  const std::vector<float> together = gradients_of(0, rows.size(), 1);
  const double scale = std::max(1e-3, greatest(together.data(), together.size()));
  const auto require = [&](const std::vector<float>& seen, const std::string& what) {
    size_t at = 0;
    for (const Parameter& p : scene.expert.parameters()) {
      for (size_t i = 0; i < p.grad->count(); ++i, ++at) {
        if (std::abs(static_cast<double>(together[at]) - seen[at]) <= tolerance * scale) continue;
        return findings.add(
            fmt::format("{}: {}[{}] is {:.5g}", what, escaped(p.name, 80), i, together[at]),
            fmt::format("{:.5g}", seen[at]));
      }
    }
  };
  std::vector<float> sum(together.size());
  for (size_t row = 0; row < rows.size(); ++row) {
    const std::vector<float> one = gradients_of(row, 1, 1);
    std::ranges::transform(sum, one, sum.begin(), std::plus());
  }
  require(sum, fmt::format("the gradient of {} rows is the sum of each row's", rows.size()));
  for (const float factor : {-1000.0F, 1e-3F}) {
    std::vector<float> scaled = gradients_of(0, rows.size(), factor);
    for (float& value : scaled) value /= factor;
    require(scaled,
            fmt::format("the gradient for {0:g} gy, divided by {0:g}, is that for gy", factor));
  }
  const std::vector<float> nothing = gradients_of(0, rows.size(), 0);
  if (greatest(nothing.data(), nothing.size()) > tolerance * scale)
    findings.add("gradients for gy = 0 are 0", "they are not");
}

constexpr Check kGradientChecks[] = {
    {"bind", 4, "parameters are read from the host's storage, and gradients written there",
     "keep the pointers of bind(), and no copy of the values", &check_bind},
    {"accumulates", 4, "gradients are added to what is there", "use += for parameter gradients",
     &check_accumulates},
    {"gradients", 4, "vjp gives the gradients that differences give",
     "compare the derivative with finite differences of your own forward", &check_gradients},
    {"input-gradients", 4, "vjp gives the gradients of the inputs",
     "write gx if it is not NULL; it is not zeroed before", &check_input_gradients},
    {"some-inputs", 4, "each input's gradient is given alone, too",
     "look at each gx[i]; those before it may be NULL", &check_some_inputs},
    {"sums", 4, "gradients are linear in gy, and the sum of the rows'",
     "no mean over the batch, and no clipping: both are the host's", &check_sums},
};

}  // namespace

std::span<const Check> gradient_checks() { return kGradientChecks; }

}  // namespace moecollab::conformance
