#include <fmt/format.h>

#include "base/toml.h"
#include "registry/manifest.h"

namespace moecollab::registry {
namespace {

// An empty text stands for an absent key.
void put(Json& table, const char* key, const std::string& text) {
  if (!text.empty()) table[key] = text;
}

Json expert_json(const ExpertTable& expert) {
  Json table = {{"id", expert.id}, {"name", expert.name}, {"version", expert.version.text()}};
  put(table, "vendor", expert.vendor);
  put(table, "license", expert.license);
  put(table, "url", expert.url);
  put(table, "description", expert.description);
  return table;
}

Json abi_json(const AbiTable& abi) {
  Json table = {{"version", fmt::format("{}.{}", abi.major, abi.minor)}};
  put(table, "sdk", abi.sdk);
  table["platform"] = abi.platform;
  put(table, "libtorch", abi.libtorch);
  return table;
}

Json task_json(const TaskTable& task) {
  if (task.domain.empty()) return Json::object();
  Json table = {{"domain", task.domain}, {"label_space", task.label_space}};
  if (!task.labels_file.empty()) {
    table["labels_file"] = task.labels_file;
  } else if (!task.labels.empty()) {
    table["labels"] = task.labels;
  }
  if (task.partial) table["partial"] = true;
  put(table, "language", task.language);
  return table;
}

Json input_json(const InputTable& input) {
  Json table = {{"needs", input.needs}};
  if (!input.layers.empty()) table["layers"] = input.layers;
  table["pooling"] = input.pooling;
  table["layout"] = input.layout;
  if (input.max_batch > 0) table["max_batch"] = input.max_batch;
  table["dtypes"] = input.dtypes;
  if (input.needs_encoder()) {
    table["encoder"] = {{"fingerprint", input.encoder_fingerprint}};
  } else {
    table["encoder"] = "none";
  }
  return table;
}

Json training_json(const TrainingTable& training) {
  Json table = Json::object();
  const auto put_if = [&](const char* key, const auto& value) {
    if (value) table[key] = *value;
  };
  put_if("epochs", training.epochs);
  put_if("batch", training.batch);
  put_if("patience", training.patience);
  put_if("folds", training.folds);
  put_if("lr", training.lr);
  put_if("warmup", training.warmup);
  put_if("schedule", training.schedule);
  put_if("clip", training.clip);
  put_if("bucket", training.bucket);
  put_if("precision", training.precision);
  return table;
}

Json claims_json(const std::vector<Claim>& claims) {
  Json list = Json::array();
  for (const Claim& claim : claims) {
    list.push_back({{"dataset", claim.dataset},
                    {"split", claim.split},
                    {"metric", claim.metric},
                    {"value", claim.value},
                    {"tolerance", claim.tolerance}});
  }
  return list;
}

}  // namespace

std::string to_toml_text(const Manifest& manifest) {
  Json root = {{"schema", 1}};
  root["library"] = {{"id", manifest.library.id}, {"version", manifest.library.version.text()}};
  root["expert"] = expert_json(manifest.expert);
  root["abi"] = abi_json(manifest.abi);
  root["task"] = task_json(manifest.task);
  root["input"] = input_json(manifest.input);
  root["output"] = {{"kind", manifest.output.kind},
                    {"temperature", manifest.output.temperature},
                    {"deterministic", manifest.output.deterministic}};
  if (manifest.training != TrainingTable{}) root["training"] = training_json(manifest.training);
  if (!manifest.config.empty()) root["config"] = manifest.config;
  root["files"] = Json::object();
  for (const auto& [path, digest] : manifest.files) root["files"][path] = digest;
  if (!manifest.provenance.empty()) root["provenance"] = manifest.provenance;
  if (!manifest.claims.empty()) root["claim"] = claims_json(manifest.claims);
  return to_toml(root);
}

}  // namespace moecollab::registry
