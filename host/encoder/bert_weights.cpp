#include "encoder/bert_weights.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/strings.h"
#include "encoder/tensor_io.h"

namespace moecollab::encoder {
namespace {

using Shape = std::vector<int64_t>;

std::map<std::string, Shape> expected_tensors(const BertConfig& c) {
  std::map<std::string, Shape> shapes = {
      {"embeddings.word_embeddings.weight", {c.vocabulary, c.hidden}},
      {"embeddings.position_embeddings.weight", {c.max_positions, c.hidden}},
      {"embeddings.token_type_embeddings.weight", {c.token_types, c.hidden}}};
  const auto norm = [&](const std::string& name) {
    shapes[name + ".weight"] = shapes[name + ".bias"] = {c.hidden};
  };
  const auto linear = [&](const std::string& name, int64_t out, int64_t in) {
    shapes[name + ".weight"] = {out, in};
    shapes[name + ".bias"] = {out};
  };
  norm("embeddings.LayerNorm");
  for (int64_t i = 0; i < c.layers; ++i) {
    const std::string layer = fmt::format("encoder.layer.{}.", i);
    for (const char* part : {"query", "key", "value"})
      linear(layer + "attention.self." + part, c.hidden, c.hidden);
    linear(layer + "attention.output.dense", c.hidden, c.hidden);
    norm(layer + "attention.output.LayerNorm");
    linear(layer + "intermediate.dense", c.intermediate, c.hidden);
    linear(layer + "output.dense", c.hidden, c.intermediate);
    norm(layer + "output.LayerNorm");
  }
  return shapes;
}

constexpr std::string_view kPrefix = "bert.";

std::string canonical(std::string name) {
  if (name.starts_with(kPrefix)) name.erase(0, kPrefix.size());
  if (name.ends_with("LayerNorm.gamma")) name.replace(name.size() - 5, 5, "weight");
  if (name.ends_with("LayerNorm.beta")) name.replace(name.size() - 4, 4, "bias");
  return name;
}

bool ignored(const std::string& name) {
  if (name == "embeddings.position_ids") return true;
  return std::ranges::any_of(
      std::initializer_list<const char*>{"cls.", "classifier.", "pooler.", "qa_outputs."},
      [&](const char* start) { return name.starts_with(start); });
}

// A model for a task has the prefix at its BERT's tensors and not at its head's, whatever their
// names are.
bool has_prefix(const weights::Checkpoint& source) {
  return std::ranges::any_of(source.tensors(), [](const weights::TensorView& view) {
    return view.name.starts_with("bert.embeddings.");
  });
}

}  // namespace

BertWeights::BertWeights(const weights::CheckpointFiles& files, const BertConfig& config) {
  const auto source = std::make_shared<const weights::Checkpoint>(weights::Checkpoint::open(files));
  const bool prefixed = has_prefix(*source);
  const std::map<std::string, Shape> all = expected_tensors(config);
  std::map<std::string, Shape> expected = all;
  std::vector<std::string> problems;
  for (const weights::TensorView& view : source->tensors()) {
    const std::string name = canonical(std::string(view.name));
    const bool of_head = prefixed && !view.name.starts_with(kPrefix) && !all.contains(name);
    if (ignored(name) || of_head) continue;
    const auto it = expected.find(name);
    if (it == expected.end()) {
      problems.push_back(fmt::format("{} is unknown or stands twice", escaped(name, 80)));
    } else if (it->second != view.shape) {
      problems.push_back(fmt::format("{} is [{}], expected [{}]", name, fmt::join(view.shape, ", "),
                                     fmt::join(it->second, ", ")));
      expected.erase(it);
    } else {
      tensors_[name] = to_tensor(view, source);
      expected.erase(it);
    }
  }
  for (const auto& [name, shape] : expected) problems.push_back(name + " is missing");
  if (!problems.empty()) {
    throw Error("E_ENCODER",
                fmt::format("{}: {} tensors do not fit config.json: {}",
                            escaped(files.file().string()), problems.size(), join(problems, "; ")),
                "use the config.json that belongs to these weights");
  }
}

}  // namespace moecollab::encoder
