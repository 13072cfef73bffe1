// Levels 3 and 4, of draft extensions by which the host computes for an expert: it gives what the
// expert's own forward() gives, also after the expert has learnt.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "conformance/bottleneck_model.h"
#include "conformance/check.h"
#include "conformance/reference_blocks.h"
#include "conformance/test_expert.h"

namespace moecollab::conformance {
namespace {

constexpr double kAnswerTolerance = 1e-3;  // of probe vectors too; relative above 1
constexpr float kLesson = 0.05F;           // how far parameters move

bool equal_answers(double a, double b) {
  return std::abs(a - b) <= kAnswerTolerance * std::max(1.0, std::abs(a));  // a NaN is not
}

// --- moecollab.draft.bottleneck/1

bool has_bottleneck(Subject& subject, Findings& findings) {
  if (subject.bottleneck() != nullptr) return true;
  findings.not_applicable(fmt::format("it has no {}", MOEC_EXT_BOTTLENECK));
  return false;
}

void compare_with_forward(Subject& subject, TestExpert& expert, const BottleneckModel& model,
                          const char* when, Findings& findings) {
  const auto classes = static_cast<size_t>(subject.classes());
  for (const size_t n : {size_t{1}, size_t{7}, size_t{33}}) {
    const std::vector<TestBatch::Row> rows = expert.rows(expert.at_most(n), 40 + n);
    const std::vector<float> seen = expert.forward(expert.batch(rows));
    for (size_t row = 0; row < rows.size(); ++row) {
      const std::vector<double> expected = model.logits(rows[row]);
      for (size_t c = 0; c < classes; ++c) {
        if (equal_answers(expected[c], seen[row * classes + c])) continue;
        findings.add(
            fmt::format("forward() is the bottleneck that describe() gives{}: {:.6g} for class {} "
                        "of row {} of {} (to {:g})",
                        when, expected[c], c, row, rows.size(), kAnswerTolerance),
            fmt::format("forward() gives {:.6g}", seen[row * classes + c]));
        return;
      }
    }
  }
}

void check_bottleneck(Subject& subject, Findings& findings) {
  if (!has_bottleneck(subject, findings)) return;
  TestExpert expert(subject);
  const auto model = BottleneckModel::of(subject, expert);
  if (!model) return findings.not_applicable("describe() says MOEC_UNSUPPORTED");
  compare_with_forward(subject, expert, *model, "", findings);
}

void check_bottleneck_learnt(Subject& subject, Findings& findings) {
  if (!has_bottleneck(subject, findings)) return;
  if (subject.params() == nullptr) return findings.not_applicable("it has no moecollab.params/1");
  TestExpert expert(subject, 3);
  if (!BottleneckModel::of(subject, expert))
    return findings.not_applicable("describe() says MOEC_UNSUPPORTED");
  if (expert.parameters().empty()) expert.bind(3);
  expert.vary(5, kLesson);
  const auto model = BottleneckModel::of(subject, expert);
  if (!model) {
    findings.add("describe() gives the bottleneck after params_changed() too",
                 "it says MOEC_UNSUPPORTED");
    return;
  }
  compare_with_forward(subject, expert, *model, " after params_changed()", findings);
}

// --- moecollab.draft.blocks/1

// Two objects of the same values: one computes by itself, the other's host offers blocks.
struct Pair {
  explicit Pair(Subject& subject) : own(subject) {
    subject.offer_blocks(true);
    by_host.emplace(subject);
    subject.offer_blocks(false);
  }
  TestExpert own;
  std::optional<TestExpert> by_host;
};

void compare_answers(Subject& subject, Pair& pair, const char* when, Findings& findings) {
  const auto classes = static_cast<size_t>(subject.classes());
  for (const size_t n : {size_t{1}, size_t{5}}) {  // a host's plain loops are slow
    const std::vector<TestBatch::Row> rows = pair.own.rows(pair.own.at_most(n), 50 + n);
    const std::vector<float> own = pair.own.forward(pair.own.batch(rows)),
                             by_host = pair.by_host->forward(pair.by_host->batch(rows));
    for (size_t i = 0; i < own.size(); ++i) {
      if (equal_answers(own[i], by_host[i])) continue;
      findings.add(
          fmt::format("the logits are those without {}{}: {:.6g} for class {} of row {} of {} "
                      "(to {:g})",
                      MOEC_EXT_BLOCKS, when, own[i], i % classes, i / classes, rows.size(),
                      kAnswerTolerance),
          fmt::format("{:.6g} with blocks that the host computes", by_host[i]));
      return;
    }
  }
}

// Whether an answer of `expert`, whose host offers blocks, comes from them.
bool uses_blocks(Subject& subject, TestExpert& expert, Findings& findings) {
  if (!subject.manifest().output.deterministic) {
    findings.not_applicable("expert.toml says output.deterministic = false");
    return false;
  }
  expert.forward(expert.batch(expert.rows(1, 50)));
  if (reference_passes() > 0) return true;
  findings.not_applicable(fmt::format("it does not use {}", MOEC_EXT_BLOCKS));
  return false;
}

void check_blocks(Subject& subject, Findings& findings) {
  Pair pair(subject);
  if (uses_blocks(subject, *pair.by_host, findings)) compare_answers(subject, pair, "", findings);
}

void check_blocks_learnt(Subject& subject, Findings& findings) {
  if (subject.params() == nullptr) return findings.not_applicable("it has no moecollab.params/1");
  // Experts may leave only such weights to the host as create() gave.
  if (!subject.has_weights() && subject.state() == nullptr) {
    TestExpert trained(subject, 3);
    if (trained.parameters().empty()) trained.bind(3);
    trained.vary(5, kLesson);
    subject.adopt(trained.parameters());
  }
  Pair pair(subject);
  if (!uses_blocks(subject, *pair.by_host, findings)) return;
  compare_answers(subject, pair, " with trained weights", findings);
  if (!findings.all().empty()) return;
  for (TestExpert* expert : {&pair.own, &*pair.by_host}) {
    expert->bind(3);
    expert->vary(7, kLesson);
  }
  compare_answers(subject, pair, " after params_changed()", findings);
}

constexpr Check kExtensionChecks[] = {
    {"bottleneck", 3, "forward() is the bottleneck that the draft extension describes",
     "give the matrices that forward() multiplies with; leave the extension away if forward() does "
     "anything else",
     &check_bottleneck},
    {"blocks", 3, "blocks that the host computes give the same logits",
     "give the host's pack() the weights that your own forward() uses", &check_blocks},
    {"bottleneck-learnt", 4, "the draft extension describes what was learnt",
     "give the pointers of bind(), or copy the values again in params_changed()",
     &check_bottleneck_learnt},
    {"blocks-learnt", 4, "blocks that the host computes are of what was learnt",
     "release the host's blocks in bind() and params_changed(), and pack again",
     &check_blocks_learnt},
};

}  // namespace

std::span<const Check> extension_checks() { return kExtensionChecks; }

}  // namespace moecollab::conformance
