#include "training/replay_file.h"

#include <fmt/format.h>

#include <cstring>

#include "base/digest.h"
#include "base/error.h"
#include "base/json.h"
#include "base/strings.h"
#include "encoder/tensor_io.h"
#include "pipeline/gate_file.h"

namespace moecollab::training {
namespace {

constexpr const char* kLogits = "logits.";

[[noreturn]] void fail(const std::string& file, const std::string& what) {
  throw Error("E_GATE", fmt::format("{}: {}", escaped(file), what),
              "keep it again with `moecollab train-gate --keep-replay N`, or remove it");
}

weights::TensorSource index_source(std::string name, const std::vector<int64_t>& values) {
  return {std::move(name),
          weights::DType::kI64,
          {static_cast<int64_t>(values.size())},
          std::as_bytes(std::span(values))};
}

// [n] indices, each below `limit`.
std::vector<int64_t> indices(const weights::Safetensors& file, const char* name, size_t limit) {
  const weights::TensorView* view = file.find(name);
  if (view == nullptr || view->dtype != weights::DType::kI64 || view->shape.size() != 1)
    fail(file.file(), fmt::format("tensor {} is missing or not int64 [n]", name));
  std::vector<int64_t> values(static_cast<size_t>(view->shape[0]));
  if (!values.empty()) std::memcpy(values.data(), view->data.data(), view->data.size());
  for (const int64_t value : values) {
    if (value < 0 || static_cast<size_t>(value) >= limit)
      fail(file.file(), fmt::format("tensor {} holds {}, of {} names", name, value, limit));
  }
  return values;
}

at::Tensor matrix(const weights::Safetensors& file, const std::string& name, int64_t rows) {
  const weights::TensorView* view = file.find(name);
  if (view == nullptr || view->shape.size() != 2 || view->shape[0] != rows)
    fail(file.file(), fmt::format("tensor {} is missing or not [{}, …]", escaped(name), rows));
  return encoder::to_tensor(*view);
}

Json metadata(const weights::Safetensors& file, const char* key) {
  const auto entry = file.metadata().find(key);
  if (entry == file.metadata().end()) fail(file.file(), fmt::format("it has no {}", key));
  try {
    return parse_json(entry->second);
  } catch (const std::invalid_argument& error) {
    fail(file.file(), fmt::format("{}: {}", key, error.what()));
  }
}

void read_names(const weights::Safetensors& file, KeptReplay& replay) {
  try {
    replay.encoder_fingerprint = metadata(file, "encoder").get<std::string>();
    for (const Json& key : metadata(file, "features")) {
      const auto pooling = encoder::parse_pooling(key.at(1).get<std::string>());
      if (!pooling) fail(file.file(), "a feature's pooling is not mean or cls");
      replay.features.push_back({key.at(0).get<int>(), *pooling});
    }
    replay.domains = metadata(file, "domains").get<std::vector<std::string>>();
    for (const Json& label : metadata(file, "labels"))
      replay.labels.emplace_back(label.at(0).get<std::string>(), label.at(1).get<std::string>());
  } catch (const nlohmann::json::exception& error) {
    fail(file.file(), escaped(error.what(), 200));
  }
}

}  // namespace

fs::path replay_path(const fs::path& registry) {
  return pipeline::gate_folder(registry) / "replay.safetensors";
}

std::string write_replay(const fs::path& registry, const KeptReplay& replay) {
  const fs::path path = replay_path(registry);
  make_folder(path.parent_path());
  pipeline::keep_until_written(path);
  std::vector<weights::TensorSource> tensors = {encoder::source_of("z", replay.z),
                                                index_source("domain", replay.domain_of),
                                                index_source("label", replay.label_of)};
  for (const auto& [sha256, logits] : replay.logits)
    tensors.push_back(encoder::source_of(kLogits + sha256, logits));
  Json features = Json::array(), labels = Json::array();
  for (const encoder::PooledKey& key : replay.features)
    features.push_back({key.layer, encoder::name(key.pooling)});
  for (const auto& [space, label] : replay.labels) labels.push_back({space, label});
  weights::write_safetensors(path, tensors,
                             {{"encoder", to_line(replay.encoder_fingerprint)},
                              {"features", to_line(features)},
                              {"domains", to_line(replay.domains)},
                              {"labels", to_line(labels)}});
  return file_sha256_hex(path, "E_GATE");
}

std::optional<KeptReplay> read_replay(const fs::path& registry, const std::string& sha256,
                                      Log log) {
  if (sha256.empty() && !fs::exists(replay_path(registry))) return std::nullopt;
  const fs::path path = pipeline::with_digest(replay_path(registry), sha256, log);
  const auto file = weights::Safetensors::open(path);
  KeptReplay replay;
  read_names(file, replay);
  replay.domain_of = indices(file, "domain", replay.domains.size());
  replay.label_of = indices(file, "label", replay.labels.size());
  if (replay.domain_of.size() != replay.label_of.size())
    fail(path.string(), "domain and label have different lengths");
  replay.z = matrix(file, "z", replay.rows());
  for (const weights::TensorView& view : file.tensors()) {
    if (!view.name.starts_with(kLogits)) continue;
    const std::string name(view.name);
    replay.logits[name.substr(std::strlen(kLogits))] = matrix(file, name, replay.rows());
  }
  return replay;
}

}  // namespace moecollab::training
