// Level 4, by the host's optimiser: gradients are right, and storage is the host's.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/strings.h"
#include "conformance/check.h"
#include "conformance/subject.h"

namespace moecollab::conformance {
namespace {

constexpr size_t kRows = 3;
constexpr size_t kElements = 6;  // of each tensor that are compared with differences

// How gradients are held against central differences: products of bf16 factors have 8 significant
// bits, so that a difference says something only over a greater step, and then roughly.
struct Differences {
  float step;        // times the element, at least times 1
  double tolerance;  // relative
};
Differences differences_in(Precision precision) {
  return precision == Precision::kBf16 ? Differences{5e-2F, 0.2} : Differences{1e-2F, 2e-2};
}

bool trainable(Subject& subject, Findings& findings) {
  if (subject.params() != nullptr && subject.train() != nullptr) return true;
  findings.not_applicable("it has not both moecollab.params/1 and moecollab.train/1");
  return false;
}

// One forward_train and what it saved.
class Pass {
 public:
  Pass(Subject& subject, TestExpert& expert, const TestBatch& batch, bool training = true)
      : subject_(subject),
        expert_(expert),
        logits_("logits", {batch.view().rows, subject.classes()}),
        inputs_((batch.view().hidden == nullptr ? 0 : batch.view().layer_count) +
                (batch.view().pooled == nullptr ? 0 : batch.view().layer_count)) {
    const moec_exec exec = subject.exec(training, 1);
    moec_error error = empty_error();
    const moec_status status = subject.train()->forward_train(expert.get(), &exec, &batch.view(),
                                                              &logits_.view, &saved_, &error);
    if (status != MOEC_OK) throw CallFailed("forward_train", status, error);
  }
  ~Pass() { release(); }
  Pass(const Pass&) = delete;

  void release() {
    if (saved_ != nullptr) subject_.train()->release_saved(expert_.get(), saved_);
    saved_ = nullptr;
  }
  const float* logits() const { return logits_.floats(); }
  // Adds to the parameters' gradients; gx in the order of vjp, or empty: none is asked for.
  void vjp(const std::vector<float>& gy, const std::vector<const moec_tensor*>& gx) {
    const std::vector<const moec_tensor*> none(inputs_, nullptr);
    const std::vector<const moec_tensor*>& wanted = gx.empty() ? none : gx;
    GuardedTensor cotangent("gy", logits_.shape);
    std::copy(gy.begin(), gy.end(), cotangent.floats());
    cotangent.memory.make_read_only();
    const moec_exec exec = subject_.exec(true, 1);
    moec_error error = empty_error();
    const moec_status status = subject_.train()->vjp(expert_.get(), &exec, saved_, &cotangent.view,
                                                     wanted.size(), wanted.data(), &error);
    if (status != MOEC_OK) throw CallFailed("vjp", status, error);
  }

 private:
  Subject& subject_;
  TestExpert& expert_;
  GuardedTensor logits_;
  size_t inputs_;  // float inputs of the batch
  moec_saved* saved_ = nullptr;
};

// Values that differ from element to element and are none too small.
std::vector<float> cotangent(size_t n) {
  std::vector<float> gy(n);
  for (size_t i = 0; i < n; ++i) gy[i] = 0.5F + 0.37F * static_cast<float>((i * 7) % 5);
  return gy;
}

double dot(const std::vector<float>& gy, const float* logits) {
  double sum = 0;
  for (size_t i = 0; i < gy.size(); ++i) sum += static_cast<double>(gy[i]) * logits[i];
  return sum;
}

// Everything that gradients are judged with. Dropout and the like are the same in each call, since
// the seed is.
struct Scene {
  explicit Scene(Subject& subject)
      : expert(subject, 3),
        rows(expert.rows(kRows, 4)),
        batch(expert.batch(rows, false)),
        gy(cotangent(kRows * static_cast<size_t>(subject.classes()))) {
    if (expert.parameters().empty()) expert.bind(3);
    expert.vary(5, 0.02F);  // initial values are often 0, and there much has no gradient
  }
  void zero_gradients() {
    for (auto& p : expert.parameters()) std::fill_n(p.grad->floats(), p.grad->count(), 0.0F);
  }
  double value(Subject& subject) { return dot(gy, Pass(subject, expert, batch).logits()); }

  TestExpert expert;
  std::vector<TestBatch::Row> rows;
  TestBatch batch;
  std::vector<float> gy;
};

// The elements of a tensor with the greatest gradients: there a difference says most.
std::vector<size_t> telling(const float* gradient, size_t count) {
  std::vector<size_t> order(count);
  for (size_t i = 0; i < count; ++i) order[i] = i;
  const size_t n = std::min(kElements, count);
  std::partial_sort(
      order.begin(), order.begin() + static_cast<ptrdiff_t>(n), order.end(),
      [&](size_t a, size_t b) { return std::abs(gradient[a]) > std::abs(gradient[b]); });
  // And some in between, which may wrongly be 0.
  std::vector<size_t> chosen(order.begin(), order.begin() + static_cast<ptrdiff_t>(n));
  for (size_t i = 0; i < 2 && count > n; ++i) chosen.push_back((i + 1) * count / 3);
  return chosen;
}

// d⟨gy, y⟩/dx of one element by central differences; `changed` after each write.
template <typename Value, typename Changed>
double difference(float& element, const Differences& how, const Value& value,
                  const Changed& changed) {
  const float before = element;
  const float step = how.step * std::max(1.0F, std::abs(before));
  element = before + step;
  changed();
  const double up = value();
  element = before - step;
  changed();
  const double down = value();
  element = before;
  changed();
  return (up - down) / (2 * static_cast<double>(step));
}

// Whether a gradient is what differences say, on the scale of its tensor.
bool agree(double gradient, double differences, double scale, const Differences& how) {
  return std::abs(gradient - differences) <= how.tolerance * std::max(scale, 0.05);
}

double greatest(const float* values, size_t count) {
  double most = 0;
  for (size_t i = 0; i < count; ++i)
    most = std::max(most, std::abs(static_cast<double>(values[i])));
  return most;
}

void check_bind(Subject& subject, Findings& findings) {
  if (!trainable(subject, findings)) return;
  Scene scene(subject);
  const std::vector<float> before = scene.expert.forward(scene.batch);
  bool any = false;
  for (auto& p : scene.expert.parameters()) {
    if (!p.trainable) continue;
    any = true;
    for (size_t i = 0; i < p.value->count(); ++i)
      p.value->floats()[i] += 0.25F * (i % 2 == 0 ? 1 : -1);
  }
  if (!any) return findings.not_applicable("it has no trainable parameter");
  scene.expert.params_changed();
  if (scene.expert.forward(scene.batch) == before)
    findings.add("what the host writes into bound parameters changes the logits",
                 "they are the same");
  scene.zero_gradients();
  Pass(subject, scene.expert, scene.batch).vjp(scene.gy, {});
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
  Scene scene(subject);
  scene.zero_gradients();
  Pass(subject, scene.expert, scene.batch).vjp(scene.gy, {});
  for (auto& p : scene.expert.parameters()) {
    if (!p.trainable) continue;
    const float* gradient = p.grad->floats();
    const double scale = greatest(gradient, p.grad->count());
    for (const size_t i : telling(gradient, p.grad->count())) {
      const double expected = difference(
          p.value->floats()[i], how, [&] { return scene.value(subject); },
          [&] { scene.expert.params_changed(); });
      if (agree(gradient[i], expected, std::max(scale, std::abs(expected)), how)) continue;
      findings.add(fmt::format("the gradient of {}[{}] is {:.5g} (central differences)",
                               escaped(p.name, 80), i, expected),
                   fmt::format("vjp says {:.5g}", gradient[i]));
      break;
    }
  }
}

void check_input_gradients(Subject& subject, Findings& findings) {
  if (!trainable(subject, findings)) return;
  const Differences how = differences_in(subject.training_precision());
  Scene scene(subject);
  const std::vector<GuardedTensor*> inputs = scene.batch.float_inputs();
  if (inputs.empty()) return findings.not_applicable("it reads no features");
  std::vector<std::unique_ptr<GuardedTensor>> gx;
  std::vector<const moec_tensor*> views;
  for (const GuardedTensor* input : inputs) {
    gx.push_back(std::make_unique<GuardedTensor>("gx", input->shape));
    std::fill_n(gx.back()->floats(), gx.back()->count(), 1e9F);  // written, not added to
    views.push_back(&gx.back()->view);
  }
  Pass(subject, scene.expert, scene.batch).vjp(scene.gy, views);
  for (size_t t = 0; t < inputs.size(); ++t) {
    const float* gradient = gx[t]->floats();
    const double scale = greatest(gradient, gx[t]->count());
    for (const size_t i : telling(gradient, gx[t]->count())) {
      const double expected = difference(
          inputs[t]->floats()[i], how, [&] { return scene.value(subject); }, [] {});
      if (agree(gradient[i], expected, std::min(scale, 1e3), how)) continue;
      findings.add(
          fmt::format("gx[{}][{}] is {:.5g} (central differences)", t, i, expected),
          fmt::format("vjp {}", std::abs(gradient[i]) >= 9e8F
                                    ? std::string("did not write it, or added to what was there")
                                    : fmt::format("says {:.5g}", gradient[i])));
      break;
    }
  }
}

void check_accumulates(Subject& subject, Findings& findings) {
  if (!trainable(subject, findings)) return;
  Scene scene(subject);
  scene.zero_gradients();
  Pass(subject, scene.expert, scene.batch).vjp(scene.gy, {});
  std::vector<std::vector<float>> once;
  for (auto& p : scene.expert.parameters())
    once.emplace_back(p.grad->floats(), p.grad->floats() + p.grad->count());
  Pass(subject, scene.expert, scene.batch).vjp(scene.gy, {});
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

void check_saved_contexts(Subject& subject, Findings& findings) {
  if (!trainable(subject, findings)) return;
  Scene scene(subject);
  const auto gradient_of = [&](uint64_t seed) {
    const TestBatch batch = scene.expert.batch(scene.expert.rows(kRows, seed));
    scene.zero_gradients();
    Pass(subject, scene.expert, batch).vjp(scene.gy, {});
    std::vector<float> all;
    for (auto& p : scene.expert.parameters())
      all.insert(all.end(), p.grad->floats(), p.grad->floats() + p.grad->count());
    return all;
  };
  const std::vector<float> one = gradient_of(20), two = gradient_of(21);
  const TestBatch first = scene.expert.batch(scene.expert.rows(kRows, 20)),
                  second = scene.expert.batch(scene.expert.rows(kRows, 21)),
                  third = scene.expert.batch(scene.expert.rows(kRows, 22));
  const auto expect_sum = [&](const char* order) {
    size_t at = 0;
    for (auto& p : scene.expert.parameters()) {
      for (size_t i = 0; i < p.grad->count(); ++i, ++at) {
        const double expected = static_cast<double>(one[at]) + two[at];
        if (std::abs(p.grad->floats()[i] - expected) <= 1e-3 * std::max(1e-1, std::abs(expected)))
          continue;
        findings.add(
            fmt::format("saved contexts live side by side, each with its own vjp ({})", order),
            fmt::format("the gradient of {}[{}] is {:.5g}, and {:.5g} when each is alone",
                        escaped(p.name, 80), i, p.grad->floats()[i], expected));
        return;
      }
    }
  };
  {
    Pass a(subject, scene.expert, first), b(subject, scene.expert, second),
        c(subject, scene.expert, third);
    c.release();  // without a vjp
    scene.zero_gradients();
    b.vjp(scene.gy, {});
    b.release();
    a.vjp(scene.gy, {});
    expect_sum("the last first");
  }
  Pass a(subject, scene.expert, first), b(subject, scene.expert, second);
  scene.zero_gradients();
  a.vjp(scene.gy, {});
  a.release();
  b.vjp(scene.gy, {});
  expect_sum("the first first");
}

// With exec.training = 0 nothing is dropped: what is trained is what will answer.
void check_train_forward(Subject& subject, Findings& findings) {
  if (!trainable(subject, findings)) return;
  Scene scene(subject);
  const double tolerance = subject.training_precision() == Precision::kBf16 ? 5e-2 : 1e-4;
  const std::vector<float> answers = scene.expert.forward(scene.batch);
  const Pass pass(subject, scene.expert, scene.batch, /*training=*/false);
  for (size_t i = 0; i < answers.size(); ++i) {
    const double scale = std::max(1.0, std::abs(static_cast<double>(answers[i])));
    const double off = std::abs(static_cast<double>(answers[i]) - pass.logits()[i]) / scale;
    if (off <= tolerance) continue;
    findings.add(
        fmt::format("forward_train() gives forward()'s logits if exec.training is 0 (to {:g})",
                    tolerance),
        fmt::format("logit {} is {:.6g}, forward()'s {:.6g}", i, pass.logits()[i], answers[i]));
    return;
  }
}

constexpr Check kGradientChecks[] = {
    {"bind", 4, "parameters are read from the host's storage, and gradients written there",
     "keep the pointers of bind(), and no copy of the values", &check_bind},
    {"gradients", 4, "vjp gives the gradients that differences give",
     "compare the derivative with finite differences of your own forward", &check_gradients},
    {"input-gradients", 4, "vjp gives the gradients of the inputs",
     "write gx if it is not NULL; it is not zeroed before", &check_input_gradients},
    {"accumulates", 4, "gradients are added to what is there", "use += for parameter gradients",
     &check_accumulates},
    {"train-forward", 4, "what is trained is what answers",
     "compute both by the same code; dropout only if exec.training is 1", &check_train_forward},
    {"saved-contexts", 4, "any number of saved contexts may live",
     "keep what vjp needs in *saved, not in the expert or in static memory", &check_saved_contexts},
};

}  // namespace

std::span<const Check> gradient_checks() { return kGradientChecks; }

}  // namespace moecollab::conformance
