// Level 4, what was learnt: it survives, and an expert that fits itself learns it.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "conformance/check.h"
#include "conformance/subject.h"

namespace moecollab::conformance {
namespace {

bool fits(Subject& subject, Findings& findings) {
  if (subject.fit() != nullptr) return true;
  findings.not_applicable("it has no moecollab.fit/1");
  return false;
}

void check_state_roundtrip(Subject& subject, Findings& findings) {
  const moec_ext_state* state = subject.state();
  if (state == nullptr) return findings.not_applicable("it has no moecollab.state/1");
  TestExpert taught(subject), fresh(subject, 2, /*ready=*/subject.fit() == nullptr);
  const TestBatch batch = taught.batch(taught.rows(8, 6));
  const std::vector<float> expected = taught.forward(batch);
  moec_error error = empty_error();
  const uint64_t count = state->count(taught.get());
  for (uint64_t i = 0; i < count; ++i) {
    moec_state_info info{};
    info.struct_size = sizeof info;
    if (const auto status = state->describe(taught.get(), i, &info, &error); status != MOEC_OK)
      throw CallFailed("state.describe", status, error);
    GuardedTensor tensor("state tensor", {info.shape, info.shape + info.ndim});
    if (const auto status = state->read(taught.get(), i, &tensor.view, &error); status != MOEC_OK)
      throw CallFailed("state.read", status, error);
    if (const std::string outside = tensor.memory.outside(); !outside.empty())
      findings.add("state.read() writes the tensor and nothing else", "it wrote " + outside);
    tensor.memory.make_read_only();
    if (const auto status = state->write(fresh.get(), i, &tensor.view, &error); status != MOEC_OK)
      throw CallFailed("state.write", status, error);
  }
  for (size_t p = 0; p < taught.parameters().size() && p < fresh.parameters().size(); ++p) {
    const auto& from = *taught.parameters()[p].value;
    std::copy_n(from.floats(), from.count(), fresh.parameters()[p].value->floats());
  }
  if (!fresh.parameters().empty()) fresh.params_changed();
  const std::vector<float> seen = fresh.forward(fresh.batch(taught.rows(8, 6)));
  if (std::memcmp(expected.data(), seen.data(), expected.size() * sizeof(float)) != 0)
    findings.add("an object that was given another's state answers with the same bits",
                 "its logits differ");
}

double mean_loss(const std::vector<float>& logits, const std::vector<int32_t>& labels,
                 size_t classes) {
  double sum = 0;
  for (size_t row = 0; row < labels.size(); ++row) {
    const float* z = &logits[row * classes];
    const double top = *std::max_element(z, z + classes);
    double total = 0;
    for (size_t c = 0; c < classes; ++c) total += std::exp(static_cast<double>(z[c]) - top);
    sum += top + std::log(total) - z[static_cast<size_t>(labels[row])];
  }
  return sum / static_cast<double>(labels.size());
}

// Rows whose label stands in their text and in their features.
struct Toy {
  Toy(Subject& subject, const TestExpert& expert, size_t n) : rows(expert.rows(n, 8)) {
    const auto classes = static_cast<size_t>(subject.classes());
    const char* const words[] = {"harbour", "orchard", "lantern", "meadow", "granite"};
    for (size_t i = 0; i < n; ++i) {
      const size_t label = i % classes;
      labels.push_back(static_cast<int32_t>(label));
      TestBatch::Row& row = rows[i];
      row.text = fmt::format("{0} and {0}{1} by the {0}", words[label % 5], label);
      std::fill(row.tokens.begin(), row.tokens.end(), static_cast<int32_t>(10 + label));
      for (auto* layers : {&row.hidden, &row.pooled}) {
        for (auto& values : *layers) {
          for (size_t j = 0; j < values.size(); ++j)
            values[j] = 0.1F * values[j] + (j % classes == label ? 1.0F : 0.0F);
        }
      }
    }
  }
  std::vector<TestBatch::Row> rows;
  std::vector<int32_t> labels;
};

void check_fit_learns(Subject& subject, Findings& findings) {
  if (!fits(subject, findings)) return;
  TestExpert expert(subject, 1, /*ready=*/false);
  const Toy toy(subject, expert, 30);
  const auto classes = static_cast<size_t>(subject.classes());
  expert.fit_toy(toy.rows, toy.labels, std::vector<float>(toy.rows.size(), 1.0F), 20);
  const double loss = mean_loss(expert.forward(expert.batch(toy.rows)), toy.labels, classes);
  const double chance = std::log(static_cast<double>(classes));
  findings.note(fmt::format("loss {:.3f} on a separable toy, {:.3f} by chance", loss, chance));
  if (!(loss < 0.9 * chance))
    findings.add(fmt::format("what it learns lowers the loss below chance ({:.3f})", chance),
                 fmt::format("{:.3f}", loss));
}

void check_fit_weights(Subject& subject, Findings& findings) {
  if (!fits(subject, findings)) return;
  TestExpert clean(subject, 1, false), ignoring(subject, 1, false);
  const Toy toy(subject, clean, 30);
  const auto classes = static_cast<size_t>(subject.classes());
  clean.fit_toy(toy.rows, toy.labels, std::vector<float>(toy.rows.size(), 1.0F), 20);
  // The same rows again with wrong labels and weight 0.
  std::vector<TestBatch::Row> rows = toy.rows;
  std::vector<int32_t> labels = toy.labels;
  std::vector<float> weights(rows.size(), 1.0F);
  for (size_t i = 0; i < toy.rows.size(); ++i) {
    rows.push_back(toy.rows[i]);
    rows.back().id = static_cast<int64_t>(toy.rows.size() + i);
    labels.push_back(static_cast<int32_t>((static_cast<size_t>(toy.labels[i]) + 1) % classes));
    weights.push_back(0.0F);
  }
  ignoring.fit_toy(rows, labels, weights, 20);
  const double alone = mean_loss(clean.forward(clean.batch(toy.rows)), toy.labels, classes),
               beside = mean_loss(ignoring.forward(ignoring.batch(toy.rows)), toy.labels, classes);
  if (beside > alone + 0.2 * std::log(static_cast<double>(classes)))
    findings.add("rows of weight 0 teach nothing",
                 fmt::format("wrong labels of weight 0 raise the loss from {:.3f} to {:.3f}", alone,
                             beside));
}

// An object that learnt other labels before ends as one that did not: equal seeds and calls from
// fit_begin() on, equal bits.
void check_fit_forgets(Subject& subject, Findings& findings) {
  if (!fits(subject, findings)) return;
  TestExpert again(subject, 1, false), fresh(subject, 1, false);
  const Toy toy(subject, again, 30);
  const std::vector<float> weights(toy.rows.size(), 1.0F);
  std::vector<int32_t> others;
  for (const int32_t label : toy.labels) others.push_back((label + 1) % subject.classes());
  again.fit_toy(toy.rows, others, weights, 5);
  again.fit_toy(toy.rows, toy.labels, weights, 5);
  fresh.fit_toy(toy.rows, toy.labels, weights, 5);
  if (again.forward(again.batch(toy.rows)) != fresh.forward(fresh.batch(toy.rows)))
    findings.add("fit_begin() forgets what was learnt before",
                 "an object that learnt other labels first answers otherwise");
}

constexpr Check kLearningChecks[] = {
    {"state-roundtrip", 4, "state read from one object and written to another gives the same bits",
     "store all that was learnt, in float32, and derive the rest from it in write()",
     &check_state_roundtrip},
    {"fit-learns", 4, "fitting lowers the loss", "use labels; look at their type (int32)",
     &check_fit_learns},
    {"fit-forgets", 4, "fit_begin() begins with nothing learnt",
     "reset counts, moments and generators in fit_begin()", &check_fit_forgets},
    {"fit-weights", 4, "a row's weight counts", "multiply by weights[row]", &check_fit_weights},
};

}  // namespace

std::span<const Check> learning_checks() { return kLearningChecks; }

}  // namespace moecollab::conformance
