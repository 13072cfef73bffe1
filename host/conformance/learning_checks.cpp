// Level 4, experts that fit themselves: they learn what they are taught, and nothing else.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>

#include "conformance/check.h"
#include "conformance/distance.h"
#include "conformance/test_expert.h"
#include "conformance/toy.h"

namespace moecollab::conformance {
namespace {

// How much worse, times the loss of chance, what was learnt otherwise may be.
constexpr double kWorse = 0.25;
// What still moves less is at rest.
constexpr double kAtRest = 0.05;

bool fits(Subject& subject, Findings& findings) {
  if (subject.fit() == nullptr)
    findings.not_applicable("it has no moecollab.fit/1");
  else if (subject.params() != nullptr && subject.train() != nullptr)
    findings.not_applicable("hosts train it by moecollab.train/1");
  else if (subject.classes() < 2)
    findings.not_applicable("it has one class");
  else
    return true;
  return false;
}

bool fits_deterministically(Subject& subject, Findings& findings) {
  return fits(subject, findings) && deterministic(subject, findings);
}

void check_fit_learns(Subject& subject, Findings& findings) {
  if (!fits(subject, findings)) return;
  TestExpert expert(subject, 1, /*ready=*/false);
  const Toy toy(subject, expert, 30);
  Lessons lessons = toy.lessons(60);
  lessons.batch = 6;  // many small steps, for who learns by such
  expert.fit(lessons);
  const double loss = loss_of(subject, expert, toy);
  findings.note(
      fmt::format("loss {:.3f} on a separable toy, {:.3f} by chance", loss, chance(subject)));
  if (!(loss < 0.9 * chance(subject)))
    findings.add(
        fmt::format("what it learns lowers the loss below chance ({:.3f})", chance(subject)),
        fmt::format("{:.3f}", loss),
        fmt::format("use labels (int32) and what the texts say: in this toy each label has a word, "
                    "a token and features of its own, as in \"{}\"; an expert that knows only "
                    "words of its own has to learn others too",
                    toy.rows.front().text));
}

// Hosts send the rows in batches of their own size, in another order each epoch, with weights round
// any number; and some labels never come.
void check_fit_lessons(Subject& subject, Findings& findings) {
  if (!fits(subject, findings)) return;
  const auto taught = [&](const Lessons& lessons) {
    auto expert = std::make_unique<TestExpert>(subject, 1, false);
    expert->fit(lessons);
    return expert;
  };
  const Toy toy(subject, TestExpert(subject, 1, false), 30);
  const double usual = loss_of(subject, *taught(toy.lessons(20)), toy);
  if (!(usual < 0.9 * chance(subject))) return;  // fit-learns says so
  const auto require = [&](const Lessons& lessons, const std::string& what, const char* cure = "") {
    const double loss = loss_of(subject, *taught(lessons), toy);
    if (!(loss < std::min(0.9 * chance(subject), usual + kWorse * chance(subject))))
      findings.add(fmt::format("it learns {} (loss {:.3f} otherwise)", what, usual),
                   fmt::format("loss {:.3f}, {:.3f} by chance", loss, chance(subject)), cure);
  };
  for (const size_t batch : {size_t{1}, size_t{7}}) {
    Lessons lessons = toy.lessons(20);
    lessons.batch = batch;
    lessons.shuffled = true;
    require(lessons, fmt::format("from batches of {} in another order each epoch", batch));
  }
  for (const float weight : {0.1F, 10.0F}) {
    Lessons lessons = toy.lessons(20);
    lessons.weights.assign(toy.rows.size(), weight);
    require(lessons, fmt::format("from rows of weight {}", weight),
            "all weights times ten mean the same: divide by their sum, or let no threshold or rate "
            "be an absolute number");
  }
  Lessons lessons = toy.lessons(5);
  for (int32_t& label : lessons.labels) label = std::min(label, subject.classes() - 2);
  lessons.batch = 4;
  lessons.weights.assign(toy.rows.size(), 1.0F);
  std::fill_n(lessons.weights.begin(), 8, 0.0F);
  const auto lacking = taught(lessons);
  lacking->learnt(findings);
  const std::vector<float> logits = forward_all(*lacking, toy.rows);
  if (!all_finite(logits))
    findings.add("logits are finite if a label never came and batches weighed nothing",
                 "they are not",
                 "a label may have no texts: let no log() or quotient get 0 for it");
}

// An expert that wants no more epochs has come to rest.
void check_rest(Subject& subject, Findings& findings) {
  TestExpert expert(subject, 1, false);
  const Toy toy(subject, expert, 29);
  Lessons lessons = toy.lessons(40);
  lessons.whatever_it_wants = true;
  std::optional<std::vector<float>> at_rest;
  double moved = 0;
  lessons.after_epoch = [&](int, bool wants_more) {
    const std::vector<float> now = forward_all(expert, toy.rows);
    if (at_rest) moved = std::max(moved, distance(at_rest->data(), now.data(), now.size()));
    at_rest = wants_more ? std::nullopt : std::optional(now);
  };
  expert.fit(lessons);
  if (moved > kAtRest)
    findings.add("an epoch hardly changes an answer after fit_epoch_end() wanted no more",
                 fmt::format("logits move by {:.3g}", moved));
}

// Each row counts, the last of an epoch too, and an expert that wants no more epochs has come to
// rest.
void check_fit_rows(Subject& subject, Findings& findings) {
  if (!fits_deterministically(subject, findings)) return;
  Toy toy(subject, TestExpert(subject, 1, false), 29);
  const size_t tried[] = {0, 9, 22, toy.rows.size() - 1};
  for (const size_t row : tried) toy.make_unlike_others(row);
  const auto answers = [&](const Lessons& lessons) {
    TestExpert expert(subject, 1, false);
    expert.fit(lessons);
    return forward_all(expert, toy.rows);
  };
  Lessons lessons = toy.lessons(1);
  const std::vector<float> expected = answers(lessons);
  for (const size_t row : tried) {
    lessons.labels = toy.labels;
    lessons.labels[row] = (lessons.labels[row] + 1) % subject.classes();
    if (answers(lessons) == expected)
      findings.add(
          "each row of an epoch is learnt in it",
          fmt::format("row {} of {} could have another label, and all logits were the same", row,
                      toy.rows.size()));
  }
  check_rest(subject, findings);
}

// forward() answers between epochs, and fit_end() changes no answer.
void check_fit_answers(Subject& subject, Findings& findings) {
  if (!fits_deterministically(subject, findings)) return;
  TestExpert expert(subject, 1, false);
  // Labels that nothing explains, so that each epoch has something to change.
  Lessons lessons{.rows = expert.rows(30, 8), .labels = {}, .epochs = 6};
  for (size_t i = 0; i < lessons.rows.size(); ++i)
    lessons.labels.push_back(static_cast<int32_t>(i * i / 3) % subject.classes());
  std::vector<float> last;
  lessons.after_epoch = [&](int, bool) { last = forward_all(expert, lessons.rows); };
  expert.fit(lessons);
  if (forward_all(expert, lessons.rows) != last)
    findings.add("fit_end() changes no answer", "the logits are others than after the last epoch");
}

void check_fit_weights(Subject& subject, Findings& findings) {
  if (!fits(subject, findings)) return;
  TestExpert clean(subject, 1, false), ignoring(subject, 1, false);
  const Toy toy(subject, clean, 30);
  clean.fit(toy.lessons(20));
  // The same rows again with wrong labels and weight 0.
  Lessons lessons = toy.lessons(20);
  lessons.weights.assign(toy.rows.size(), 1.0F);
  for (size_t i = 0; i < toy.rows.size(); ++i) {
    lessons.rows.push_back(toy.rows[i]);
    lessons.rows.back().id = static_cast<int64_t>(toy.rows.size() + i);
    lessons.labels.push_back((toy.labels[i] + 1) % subject.classes());
    lessons.weights.push_back(0.0F);
  }
  ignoring.fit(lessons);
  const double alone = loss_of(subject, clean, toy), beside = loss_of(subject, ignoring, toy);
  if (beside > alone + kWorse * chance(subject))
    findings.add("rows of weight 0 teach nothing",
                 fmt::format("wrong labels of weight 0 raise the loss from {:.3f} to {:.3f}", alone,
                             beside));
  // Rows of weight 0 and of one label only do not make that label likelier.
  for (size_t i = toy.rows.size(); i < lessons.labels.size(); ++i) lessons.labels[i] = 0;
  TestExpert leaning(subject, 1, false);
  leaning.fit(lessons);
  Toy neutral(subject, leaning, 1);
  neutral.rows[0].text = "?";
  std::ranges::fill(neutral.rows[0].tokens, 5);
  neutral.labels[0] = 0;
  for (auto* layers : {&neutral.rows[0].hidden, &neutral.rows[0].pooled}) {
    for (auto& values : *layers) std::ranges::fill(values, 0.0F);
  }
  const double fair = std::exp(-loss_of(subject, clean, neutral)),
               leant = std::exp(-loss_of(subject, leaning, neutral));
  if (leant > fair + 0.15)
    findings.add("rows of weight 0 make their label no likelier",
                 fmt::format("its probability for a text that says nothing rises from {:.2f} to "
                             "{:.2f}",
                             fair, leant));
}

// An object that learnt other labels before, or was left in the midst of an epoch, ends as one that
// did not: equal seeds and calls from fit_begin() on, equal bits.
void check_fit_forgets(Subject& subject, Findings& findings) {
  if (!fits_deterministically(subject, findings)) return;
  TestExpert again(subject, 1, false), broken_off(subject, 1, false), fresh(subject, 1, false);
  const Toy toy(subject, again, 30);
  const Lessons lessons = toy.lessons(5);
  Lessons others = lessons;
  for (int32_t& label : others.labels) label = (label + 1) % subject.classes();
  const std::vector<TestBatch::Row> strangers = again.rows(12, 77);
  std::ranges::copy(strangers, others.rows.begin());  // half the texts are others, too
  again.fit(others);
  struct Stopped {};
  others.after_epoch = [](int, bool) { throw Stopped(); };
  try {
    broken_off.fit(others);
  } catch (const Stopped&) {
  }
  broken_off.begin_and_leave(others);
  for (TestExpert* expert : {&again, &broken_off, &fresh}) expert->fit(lessons);
  const std::vector<float> expected = forward_all(fresh, toy.rows);
  if (forward_all(again, toy.rows) != expected)
    findings.add("fit_begin() forgets what was learnt before",
                 "an object that learnt other labels first answers otherwise");
  if (forward_all(broken_off, toy.rows) != expected)
    findings.add("fit_begin() forgets an epoch that was not ended",
                 "an object that was left in the midst of one answers otherwise");
}

// Training again and again, as hosts do that look for a setting.
void check_fit_leaks(Subject& subject, Findings& findings) {
  if (!fits(subject, findings)) return;
  TestExpert expert(subject, 1, false);
  const Toy toy(subject, expert, 30);
  const auto train = [&](int times) {
    for (int i = 0; i < times; ++i) expert.fit(toy.lessons(6));
  };
  constexpr int kTimes = 8;
  train(kTimes / 2);
  const bool torch = subject.uses_torch();  // its allocator keeps some
  const int64_t grown = least_growth((torch ? 4096 : 256) * kTimes, [&] { train(kTimes); });
  if (grown > 0)
    findings.add("a training of the same expert again leaves nothing behind",
                 fmt::format("{} bytes more each time", grown / kTimes));
}

constexpr Check kLearningChecks[] = {
    {"fit-leaks", 4, "training again leaves no memory behind",
     "clear what fit_begin() begins, and free in fit_end() what only training needs",
     &check_fit_leaks},
    {"fit-learns", 4, "fitting lowers the loss", "use labels; look at their type (int32)",
     &check_fit_learns},
    {"fit-lessons", 4, "it learns from batches of any size, order and weight",
     "gather sums over all batches of an epoch; keep nothing by a row's place", &check_fit_lessons},
    {"fit-rows", 4, "each row counts, and want_more = 0 means that the answers have come to rest",
     "learn what is left in a buffer in fit_epoch_end(); epochs may follow want_more = 0, and "
     "change "
     "no answer: count each text once, or want more",
     &check_fit_rows},
    {"fit-answers", 4, "it answers between epochs with what it has learnt",
     "let forward() read what fit_epoch_end() leaves; fit_end() only frees", &check_fit_answers},
    {"fit-forgets", 4, "fit_begin() begins with nothing learnt",
     "reset counts, moments and generators in fit_begin()", &check_fit_forgets},
    {"fit-weights", 4, "a row's weight counts",
     "multiply by weights[row] wherever a row is counted, in priors too", &check_fit_weights},
};

}  // namespace

std::span<const Check> learning_checks() { return kLearningChecks; }

}  // namespace moecollab::conformance
