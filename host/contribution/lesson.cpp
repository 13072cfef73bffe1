#include "contribution/lesson.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"
#include "data/hold_out.h"
#include "pipeline/targets.h"
#include "registry/labels.h"
#include "registry/names.h"

namespace moecollab::contribution {
namespace {

// n / (C·n_c) for a text of label c, so that each label counts the same in sum; mean 1.
std::vector<float> balanced_weights(const std::vector<int32_t>& labels, size_t classes) {
  std::vector<int64_t> counts(classes);
  for (const int32_t label : labels) ++counts[static_cast<size_t>(label)];
  const auto present = std::count_if(counts.begin(), counts.end(), [](int64_t c) { return c > 0; });
  std::vector<float> weights;
  for (const int32_t label : labels) {
    const auto share = static_cast<double>(present * counts[static_cast<size_t>(label)]);
    weights.push_back(static_cast<float>(static_cast<double>(labels.size()) / share));
  }
  return weights;
}

}  // namespace

data::Dataset read_training_file(const data::DataOptions& options, const std::string& domain,
                                 Log log) {
  std::vector<std::string> found;
  for (const data::DataFile& file : data::locate(options, "train", log)) {
    if (file.domain == domain) {
      data::Dataset dataset = data::read_dataset(file.domain, file.path, file.reading, log);
      require_lesson(dataset);
      return dataset;
    }
    found.push_back(file.domain);
  }
  throw Error("E_DATA",
              fmt::format("there is no training file for domain {}{}", escaped(domain, 80),
                          did_you_mean(domain, found)),
              fmt::format("domains with one: {}", join(found, ", ")));
}

void require_lesson(const data::Dataset& dataset) {
  for (const data::Example& example : dataset.examples) {
    if (!registry::has_control(example.label)) continue;
    throw Error(
        "E_DATA",
        fmt::format("{}:{}: the label \"{}\" holds a control character, which no package may",
                    shown(dataset.file), example.line, escaped(example.label, 80)),
        "write the label without it");
  }
  const size_t labels = data::labels_of(dataset).size();
  if (labels < 2) {
    throw Error("E_DATA",
                fmt::format("{}: all texts have the label \"{}\"; a classifier needs two or more",
                            shown(dataset.file), escaped(dataset.examples.front().label, 80)));
  }
  if (labels > registry::kMaxLabels) {
    throw Error("E_DATA",
                fmt::format("{}: {} different labels, more than the {} allowed",
                            shown(dataset.file), labels, registry::kMaxLabels),
                "see that the label's column is the right one");
  }
  data::require_held_out({&dataset, 1});
}

Lesson lesson_of(const data::Dataset& dataset, const fusion::LabelSpace& space, int32_t folds,
                 ClassWeights class_weights, const TextWeights& weights) {
  fusion::LabelUnion labels;
  labels.add(space, /*partial=*/false);
  const std::vector<int> ids = pipeline::target_ids(dataset, labels, 0);
  Lesson lesson{
      pipeline::text_views(dataset), {ids.begin(), ids.end()}, data::folds(dataset, folds), {}, {}};
  if (class_weights == ClassWeights::kBalanced)
    lesson.weights = balanced_weights(lesson.labels, space.labels.size());
  if (weights.empty()) return lesson;
  lesson.weights.resize(lesson.labels.size(), 1.0F);
  for (size_t i = 0; i < lesson.weights.size(); ++i) {
    const auto it = weights.find(dataset.examples[i].text);
    if (it != weights.end()) lesson.weights[i] *= it->second;
  }
  return lesson;
}

}  // namespace moecollab::contribution
