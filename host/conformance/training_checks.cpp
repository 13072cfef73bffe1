// Level 4, training passes: what they answer, keep and leave.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "base/strings.h"
#include "conformance/check.h"
#include "conformance/toy.h"
#include "conformance/training_pass.h"

namespace moecollab::conformance {
namespace {

void check_saved_contexts(Subject& subject, Findings& findings) {
  if (!trainable(subject, findings)) return;
  TrainingScene scene(subject);
  TestExpert other(subject, 4);
  if (other.parameters().empty()) other.bind(4);
  const auto rows = [&](uint64_t seed) {
    std::vector<TestBatch::Row> some = scene.expert.rows(scene.rows.size(), seed);
    for (TestBatch::Row& row : some) row.id += static_cast<int64_t>(seed * 1000);
    return some;
  };
  const auto gradient_of = [&](uint64_t seed) {
    const TestBatch batch = scene.expert.batch(rows(seed));
    scene.zero_gradients();
    TrainingPass(subject, scene.expert, batch, true, seed).vjp(scene.gy);
    return scene.gradients();
  };
  const std::vector<float> one = gradient_of(20), two = gradient_of(21);
  const TestBatch first = scene.expert.batch(rows(20)), second = scene.expert.batch(rows(21)),
                  third = scene.expert.batch(rows(22));
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
    TrainingPass a(subject, scene.expert, first, true, 20),
        b(subject, scene.expert, second, true, 21), c(subject, scene.expert, third, true, 22);
    c.release();  // without a vjp
    std::vector<std::unique_ptr<TrainingPass>> many;
    for (uint64_t seed = 30; seed < 50; ++seed)
      many.push_back(std::make_unique<TrainingPass>(subject, scene.expert, third, true, seed));
    TrainingPass d(subject, other, third);  // of another expert
    scene.zero_gradients();
    b.vjp(scene.gy);
    b.release();
    a.vjp(scene.gy);
    expect_sum("the last first");
  }
  TrainingPass a(subject, scene.expert, first, true, 20),
      b(subject, scene.expert, second, true, 21);
  scene.zero_gradients();
  a.vjp(scene.gy);
  a.release();
  b.vjp(scene.gy);
  expect_sum("the first first");
}

// With exec.training = 0 nothing is dropped: what is trained is what will answer.
void check_train_forward(Subject& subject, Findings& findings) {
  if (!trainable(subject, findings)) return;
  if (!deterministic(subject, findings)) return;
  TrainingScene scene(subject);
  const double tolerance = subject.training_precision() == Precision::kBf16 ? 5e-2 : 1e-4;
  const std::vector<float> answers = scene.expert.forward(scene.batch);
  const TrainingPass pass(subject, scene.expert, scene.batch, /*training=*/false);
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

// What forward() answers is a matter of the parameters alone.
void check_train_changes_nothing(Subject& subject, Findings& findings) {
  if (!trainable(subject, findings)) return;
  if (subject.state() != nullptr)
    return findings.not_applicable("it has moecollab.state/1, which training may change");
  if (!deterministic(subject, findings)) return;
  TrainingScene scene(subject);
  const std::vector<float> before = scene.expert.forward(scene.batch);
  for (uint64_t seed = 0; seed < 4; ++seed) {
    const TestBatch batch = scene.expert.batch(scene.expert.rows(scene.rows.size(), 30 + seed));
    TrainingPass pass(subject, scene.expert, batch, true, seed);
    if (scene.expert.forward(scene.batch) != before)
      return findings.add("forward() beside a saved context answers as before",
                          "the logits are others");
    if (seed % 2 == 0) pass.vjp(scene.gy);
  }
  if (scene.expert.forward(scene.batch) != before)
    findings.add("forward_train() and vjp() change no answer", "the logits are others");
}

// Passes that are released, half of them without a vjp, leave nothing behind.
void check_train_leaks(Subject& subject, Findings& findings) {
  if (!trainable(subject, findings)) return;
  TrainingScene scene(subject);
  const auto passes = [&](int n) {
    for (int i = 0; i < n; ++i) {
      TrainingPass pass(subject, scene.expert, scene.batch);
      if (i % 2 == 0) pass.vjp(scene.gy);
    }
  };
  passes(20);
  constexpr int kPasses = 40;
  const bool torch = subject.uses_torch();  // its allocator keeps some
  const int64_t grown = least_growth((torch ? 4096 : 48) * kPasses, [&] { passes(kPasses); });
  if (grown > 0)
    findings.add("a training pass that is released leaves nothing behind",
                 fmt::format("{} bytes more per pass", grown / kPasses));
}

// --- by the host's optimiser

// Adam over an expert's bound parameters.
class Adam {
 public:
  Adam(TestExpert& expert, float rate) : expert_(expert), rate_(rate) {
    for (const Parameter& p : expert.parameters()) moments_.emplace_back(2 * p.grad->count());
  }
  void step() {
    ++steps_;
    for (size_t t = 0; t < moments_.size(); ++t)
      if (expert_.parameters()[t].trainable) move(expert_.parameters()[t], moments_[t]);
    expert_.params_changed();
  }

 private:
  void move(Parameter& p, std::vector<float>& moments) const {
    const float first = 1 - std::pow(0.9F, steps_), second = 1 - std::pow(0.999F, steps_);
    for (size_t i = 0; i < p.grad->count(); ++i) {
      const float g = p.grad->floats()[i];
      float &m = moments[2 * i], &v = moments[2 * i + 1];
      m = 0.9F * m + 0.1F * g;
      v = 0.999F * v + 0.001F * g * g;
      p.value->floats()[i] -= rate_ * p.lr_scale * (m / first) / (std::sqrt(v / second) + 1e-8F);
      p.grad->floats()[i] = 0;
    }
  }
  TestExpert& expert_;
  float rate_, steps_ = 0;
  std::vector<std::vector<float>> moments_;  // per tensor, two for each element
};

// d(mean loss)/d(logits or probabilities) of rows with these labels.
std::vector<float> loss_gradient(const std::vector<float>& answers, const int32_t* labels,
                                 size_t classes, bool probabilities) {
  std::vector<float> gy(answers.size(), 0.0F);
  const size_t n = answers.size() / classes;
  for (size_t row = 0; row < n; ++row) {
    const float* z = &answers[row * classes];
    float* g = &gy[row * classes];
    const auto label = static_cast<size_t>(labels[row]);
    const float top = *std::max_element(z, z + classes);
    float total = 0;
    for (size_t c = 0; c < classes; ++c) total += std::exp(z[c] - top);
    for (size_t c = 0; c < classes && !probabilities; ++c) g[c] = std::exp(z[c] - top) / total;
    g[label] -= probabilities ? 1 / (z[label] + 1e-6F) : 1;
    for (size_t c = 0; c < classes; ++c) g[c] /= static_cast<float>(n);
  }
  return gy;
}

constexpr size_t kToyRows = 30, kStepRows = 10;
constexpr int kMostSteps = 60;

// The loss on the toy after at most kMostSteps, or fewer once it is below `enough`.
double trained_loss(Subject& subject, const Toy& toy, float rate, double enough) {
  TestExpert expert(subject, 1, /*ready=*/false);
  expert.bind(1);
  Adam adam(expert, rate);
  const bool probabilities = subject.manifest().output.kind == "probabilities";
  const size_t rows = expert.at_most(kStepRows);
  double loss = loss_of(subject, expert, toy);
  for (int step = 0; step < kMostSteps && !(loss < enough); ++step) {
    const size_t first = static_cast<size_t>(step) * rows % (kToyRows - rows + 1);
    const auto begin = toy.rows.begin() + static_cast<ptrdiff_t>(first);
    const TestBatch batch = expert.batch({begin, begin + static_cast<ptrdiff_t>(rows)});
    TrainingPass pass(subject, expert, batch);
    pass.vjp(loss_gradient(pass.logits(), &toy.labels[first],
                           static_cast<size_t>(subject.classes()), probabilities));
    pass.release();
    adam.step();
    if (step % 10 == 9) loss = loss_of(subject, expert, toy);
  }
  return loss;
}

// Gradients may be right where an expert stands, and lead nowhere from where it begins.
void check_learns(Subject& subject, Findings& findings) {
  if (!trainable(subject, findings)) return;
  if (subject.classes() < 2) return findings.not_applicable("it has one class");
  if (subject.has_weights())
    return findings.not_applicable("it has learnt already; its kind is tried");
  TestExpert begun(subject, 1, /*ready=*/false);
  begun.bind(1);
  if (std::ranges::none_of(begun.parameters(), &Parameter::trainable))
    return findings.not_applicable("it has no trainable parameter");
  const Toy toy(subject, begun, kToyRows);
  const double enough = 0.9 * chance(subject);
  double best = INFINITY;
  for (const float rate : {1e-2F, 1e-3F, 1e-1F}) {
    const double loss = trained_loss(subject, toy, rate, enough);
    if (loss < enough)
      return findings.note(
          fmt::format("loss {:.3f} on a separable toy, {:.3f} by chance", loss, chance(subject)));
    best = std::min(best, loss);
  }
  findings.add(
      fmt::format("the host's optimiser lowers the loss below chance ({:.3f})", chance(subject)),
      fmt::format("{:.3f} after {} steps of Adam, at the best of three rates", best, kMostSteps));
}

constexpr Check kTrainingChecks[] = {
    {"learns", 4, "gradients from where init() begins lead to what the texts say",
     "let init() draw hidden layers from its seed: units that begin alike, such as at 0, stay so; "
     "and let it read what the texts say, not words of its own alone",
     &check_learns},
    {"train-forward", 4, "what is trained is what answers",
     "compute both by the same code; dropout only if exec.training is 1", &check_train_forward},
    {"saved-contexts", 4, "any number of saved contexts may live",
     "keep what vjp needs in *saved, not in the expert or in static memory", &check_saved_contexts},
    {"train-changes-nothing", 4, "training passes change no answer",
     "keep dropout masks and the like in *saved", &check_train_changes_nothing},
    {"train-leaks", 4, "training passes leave no memory behind",
     "free all that *saved holds in release_saved(), with or without a vjp() before",
     &check_train_leaks},
};

}  // namespace

std::span<const Check> training_checks() { return kTrainingChecks; }

}  // namespace moecollab::conformance
