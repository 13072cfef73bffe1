#include "pipeline/targets.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab::pipeline {

std::vector<int> target_ids(const data::Dataset& dataset, const fusion::LabelUnion& labels,
                            int space) {
  std::vector<int> ids;
  ids.reserve(dataset.examples.size());
  for (const data::Example& example : dataset.examples) {
    const std::optional<int> id = labels.id(space, example.label);
    if (!id) {
      const fusion::LabelSpace& known = labels.spaces()[static_cast<size_t>(space)];
      throw Error(
          "E_DATA",
          fmt::format("{}:{}: label \"{}\" is not in label space {}{}",
                      escaped(dataset.file.string()), example.line, escaped(example.label, 80),
                      known.name, did_you_mean(example.label, known.labels)),
          fmt::format("known are {}", escaped(join(known.labels, ", "), 400)));
    }
    ids.push_back(*id);
  }
  return ids;
}

std::vector<std::string_view> text_views(const data::Dataset& dataset) {
  std::vector<std::string_view> views;
  views.reserve(dataset.examples.size());
  for (const data::Example& example : dataset.examples) views.push_back(example.text);
  return views;
}

}  // namespace moecollab::pipeline
