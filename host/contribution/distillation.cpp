#include "contribution/distillation.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"
#include "encoder/features.h"
#include "registry/layout.h"
#include "training/calibration.h"
#include "training/held_out_file.h"

namespace moecollab::contribution {
namespace {

using pipeline::InstalledExpert;

constexpr double kTeachersShare = 0.5;  // of the target; the rest is the label

const InstalledExpert& find_teacher(pipeline::Pool& pool, const std::string& name) {
  std::vector<std::string> names;
  for (const InstalledExpert& expert : pool.experts()) {
    if (expert.name == name) return expert;
    names.push_back(expert.name);
  }
  for (const registry::Candidate& candidate : pool.candidates()) {
    if (candidate.name != name || !candidate.refusal) continue;
    throw Error("E_CONFIG",
                fmt::format("expert {} cannot teach: {}", name, candidate.refusal->rule),
                candidate.refusal->hint);
  }
  throw Error("E_CONFIG",
              fmt::format("there is no expert {} that is ready{}", escaped(name, 80),
                          did_you_mean(name, names)),
              "`moecollab experts list` shows every one");
}

// Where each of the teacher's classes stands among the labels of the space [C] int64.
at::Tensor places_of(const pipeline::Pool& pool, const InstalledExpert& teacher,
                     const fusion::LabelSpace& space) {
  const fusion::LabelUnion& all = pool.labels();
  const std::string& own = all.spaces()[static_cast<size_t>(teacher.labels.space)].name;
  if (own != space.name) {
    throw Error("E_CONFIG",
                fmt::format("expert {} answers in label space {}, the new one in {}", teacher.name,
                            own, space.name),
                "name experts of the same label space with --distill");
  }
  std::vector<int64_t> places;
  for (const int column : teacher.labels.columns) {
    const auto place = std::ranges::find(space.labels, all.label(column));
    if (place == space.labels.end()) {
      throw Error("E_CONFIG",
                  fmt::format("expert {} knows the label \"{}\", which the new one does not",
                              teacher.name, escaped(all.label(column), 80)),
                  "name experts of the same labels with --distill");
    }
    places.push_back(place - space.labels.begin());
  }
  if (places.size() != space.labels.size()) {
    throw Error("E_CONFIG",
                fmt::format("expert {} knows {} of the {} labels of {}", teacher.name,
                            places.size(), space.labels.size(), space.name),
                "name experts that know every label with --distill");
  }
  return encoder::index_tensor(places);
}

training::HeldOutLogits read_answers(const pipeline::Pool& pool, const InstalledExpert& teacher) {
  auto answers =
      training::read_held_out(registry::held_out_file(pool.options().registry, teacher.sha256()),
                              teacher.expert->classes());
  if (answers) return *std::move(answers);
  throw Error("E_CONFIG",
              fmt::format("expert {} has no held-out logits here: nothing says what it answers to "
                          "texts that it did not learn",
                          teacher.name),
              "train it here with `moecollab train-expert --folds 5`, which keeps them");
}

// Row of each text among the answers [n]; −1 if it has none.
at::Tensor rows_of(const Lesson& lesson, const training::HeldOutLogits& answers) {
  std::vector<int64_t> rows;
  for (const std::string_view text : lesson.texts)
    rows.push_back(answers.find(sha256(text)).value_or(-1));
  return encoder::index_tensor(rows);
}

// Adds what the teacher says of each text to `sum` [n, C] and takes the texts without an answer
// from `known` [n] bool.
void ask(const pipeline::Pool& pool, const InstalledExpert& teacher, const Lesson& lesson,
         const at::Tensor& labels, const at::Tensor& places, at::Tensor& sum, at::Tensor& known) {
  const training::HeldOutLogits answers = read_answers(pool, teacher);
  const at::Tensor row = rows_of(lesson, answers);
  const at::Tensor in_order = at::empty_like(answers.logits).index_copy_(1, places, answers.logits);
  const at::Tensor said = in_order.index_select(0, row.clamp_min(0));
  const at::Tensor answered = row.ge(0).logical_and(said.isfinite().all(1));
  const at::Tensor index = answered.nonzero().flatten();
  if (index.numel() > 0) {
    const double temperature =
        training::fit_temperature(said.index_select(0, index), labels.index_select(0, index));
    sum += at::softmax(said / temperature, 1);
  }
  known = known.logical_and(answered);
}

}  // namespace

Json to_json(const Distillation& distillation) {
  Json teachers = Json::object();
  for (size_t i = 0; i < distillation.teachers.size(); ++i)
    teachers[distillation.teachers[i]] = distillation.packages[i];
  return {{"teachers", teachers}, {"texts", distillation.texts}};
}

Distillation distil(pipeline::Pool& pool, const std::vector<std::string>& teachers,
                    const Lesson& lesson, const fusion::LabelSpace& space) {
  const at::NoGradGuard no_grad;
  const auto n = static_cast<int64_t>(lesson.texts.size());
  const auto classes = static_cast<int64_t>(space.labels.size());
  const at::Tensor labels =
      encoder::index_tensor(std::vector<int64_t>(lesson.labels.begin(), lesson.labels.end()));
  at::Tensor sum = at::zeros({n, classes}), known = at::ones({n}, at::kBool);
  Distillation result;
  for (const std::string& name : teachers) {
    if (std::ranges::find(result.teachers, name) != result.teachers.end())
      throw Error("E_CONFIG", fmt::format("--distill names {} twice", escaped(name, 80)));
    const InstalledExpert& teacher = find_teacher(pool, name);
    ask(pool, teacher, lesson, labels, places_of(pool, teacher, space), sum, known);
    result.teachers.push_back(name);
    result.packages.push_back(teacher.sha256());
  }
  result.texts = known.sum().item<int64_t>();
  if (result.texts == 0) {
    throw Error("E_DATA",
                fmt::format("no text of the training file has held-out logits of all teachers ({})",
                            join(teachers, ", ")),
                "train the teachers on this file, with `moecollab train-expert --folds 5`");
  }
  const at::Tensor label = at::one_hot(labels, classes).to(at::kFloat);
  const at::Tensor mixed =
      label * (1 - kTeachersShare) + sum * (kTeachersShare / static_cast<double>(teachers.size()));
  result.targets = at::where(known.unsqueeze(1), mixed, label);
  return result;
}

}  // namespace moecollab::contribution
