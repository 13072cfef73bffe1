#include "registry/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <stdexcept>

#include "base/error.h"
#include "base/fields.h"
#include "base/strings.h"
#include "base/toml.h"
#include "registry/beneath.h"
#include "registry/labels.h"
#include "registry/names.h"
#include "registry/records.h"

namespace moecollab::registry {
namespace {

// A table that must be there; an absent one reads as empty, so that its first missing key is named.
Fields required_table(Fields& root, const std::string& key) {
  auto table = root.table(key);
  const bool by_build = key == "abi" || key == "files";
  if (!table)
    root.fail(key, "is missing",
              by_build ? "moecollab_add_expert() or `moecollab pack` writes it: name what they made"
                       : fmt::format("add a [{}] table", key));
  return *std::move(table);
}

bool has(const std::vector<std::string>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

template <typename T>
void refuse_repeats(const Fields& fields, const std::string& key, const std::vector<T>& values) {
  if (std::set<T>(values.begin(), values.end()).size() != values.size()) {
    fields.fail(key, "names something twice");
  }
}

LibraryTable read_library(Fields table) {
  LibraryTable library{required_id(table, "id"), required_version(table, "version")};
  table.finish();
  return library;
}

ExpertTable read_identity(Fields table) {
  ExpertTable expert;
  expert.id = required_id(table, "id");
  expert.name = required_name(table, "name");
  expert.version = required_version(table, "version");
  expert.vendor = table.value_or<std::string>("vendor", "");
  expert.license = table.value_or<std::string>("license", "");
  expert.url = table.value_or<std::string>("url", "");
  expert.description = table.value_or<std::string>("description", "");
  table.finish();
  return expert;
}

AbiTable read_abi(Fields table) {
  AbiTable abi;
  const auto version = table.required<std::string>("version");
  if (!parse_abi_version(version, abi.major, abi.minor)) {
    table.fail("version",
               fmt::format("must be two numbers, as in \"0.9\", not \"{}\"", escaped(version, 40)));
  }
  abi.sdk = table.value_or<std::string>("sdk", "");
  if (!abi.sdk.empty()) {
    try {
      Version::parse_short(abi.sdk);
    } catch (const std::invalid_argument& error) {
      table.fail("sdk", error.what());
    }
  }
  abi.platform = required_name(table, "platform");
  abi.libtorch = table.value_or<std::string>("libtorch", "");
  table.finish();
  return abi;
}

TaskTable read_task(Fields table, bool generative) {
  TaskTable task;
  if (table.keys().empty()) return task;  // a kind, to be trained
  task.domain = required_name(table, "domain");
  task.label_space = required_label_space(table, "label_space");
  const auto labels = table.optional<std::vector<std::string>>("labels");
  const auto labels_file = table.optional<std::string>("labels_file");
  task.partial = table.value_or("partial", false);
  task.language = table.value_or<std::string>("language", "");
  table.finish();

  if (labels && labels_file) table.fail("labels_file", "stands beside `labels`: keep one of them");
  if (!labels && !labels_file && !generative) {
    table.fail("labels", "is missing", "add labels = [\"…\"], or labels_file for more than 500");
  }
  if (labels) {
    task.labels = *labels;
    if (labels->empty()) table.fail("labels", "is empty");
    if (labels->size() > kMaxInlineLabels) {
      table.fail("labels", fmt::format("has {} labels; more than {} go into a labels_file",
                                       labels->size(), kMaxInlineLabels));
    }
    if (const auto fault = find_fault(*labels)) {
      table.fail("labels", fmt::format("item {}: {}", fault->index + 1, fault->what));
    }
  }
  if (labels_file) {
    check_relative(*labels_file);
    task.labels_file = *labels_file;
  }
  return task;
}

// encoder.fingerprint = "…", encoder = "none", or nothing (as "none").
std::string read_fingerprint(Fields& table) {
  const Json encoder = table.any("encoder");
  if (encoder.is_null()) return {};
  if (encoder.is_string()) {
    if (encoder != "none") {
      table.fail("encoder",
                 fmt::format("must be \"none\" or a table with a fingerprint, not \"{}\"",
                             escaped(encoder.get<std::string>(), 60)));
    }
    return {};
  }
  Fields inner = *table.table("encoder");
  auto fingerprint = required_digest(inner, "fingerprint");
  inner.finish();
  return fingerprint;
}

void check_input(const Fields& table, const InputTable& input, bool is_kind) {
  if (input.needs.empty()) table.fail("needs", "is empty: say what the expert reads");
  for (const std::string& need : input.needs) {
    check_choice(table, "needs", need);
  }
  refuse_repeats(table, "needs", input.needs);
  refuse_repeats(table, "layers", input.layers);
  if (input.dtypes.empty() || !has(input.dtypes, "float32")) {
    table.fail("dtypes", "must hold \"float32\", which every expert takes");
  }
  for (const std::string& dtype : input.dtypes) {
    check_choice(table, "dtypes", dtype);
  }
  refuse_repeats(table, "dtypes", input.dtypes);

  const bool reads_layers = has(input.needs, "hidden") || has(input.needs, "pooled");
  if (!input.layers.empty() && !reads_layers) {
    table.fail("layers", "is set, but `needs` asks for neither \"hidden\" nor \"pooled\"");
  }
  if ((reads_layers || has(input.needs, "tokens")) && !input.needs_encoder() && !is_kind) {
    table.fail("encoder", "is \"none\" or missing, but `needs` asks for what the encoder makes",
               "add encoder.fingerprint = \"…\" (`moecollab doctor` prints it)");
  }
}

InputTable read_input(Fields table, bool is_kind) {
  InputTable input;
  input.needs = table.required<std::vector<std::string>>("needs");
  const bool reads_layers = has(input.needs, "hidden") || has(input.needs, "pooled");
  const std::vector<int64_t> last_block(reads_layers ? 1 : 0, -1);
  input.layers = table.value_or("layers", last_block);
  input.pooling = choice(table, "pooling", "mean");
  input.layout = choice(table, "layout", "ragged");
  const auto max_batch = table.optional<int64_t>("max_batch");
  if (max_batch && !table.in_bounds("max_batch", static_cast<double>(*max_batch))) {
    table.fail("max_batch", fmt::format("must be at least 1 row, not {}", *max_batch));
  }
  input.max_batch = max_batch.value_or(0);
  input.dtypes = table.value_or("dtypes", input.dtypes);
  input.encoder_fingerprint = read_fingerprint(table);
  table.finish();
  check_input(table, input, is_kind);
  if (reads_layers && input.layers.empty()) table.fail("layers", "is empty: name a layer");
  return input;
}

OutputTable read_output(Fields table) {
  OutputTable output;
  output.kind = choice(table, "kind", output.kind);
  output.temperature = table.value_or("temperature", output.temperature);
  if (!table.in_bounds("temperature", output.temperature)) {
    table.fail("temperature", fmt::format("must be above 0, not {}", output.temperature));
  }
  output.deterministic = table.value_or("deterministic", output.deterministic);
  table.finish();
  return output;
}

TrainingTable read_training(Fields table) {
  TrainingTable training;
  training.epochs = table.optional<int64_t>("epochs");
  training.batch = table.optional<int64_t>("batch");
  training.patience = table.optional<int64_t>("patience");
  training.folds = table.optional<int64_t>("folds");
  training.lr = table.optional<double>("lr");
  training.warmup = table.optional<double>("warmup");
  training.clip = table.optional<double>("clip");
  if (table.optional<std::string>("schedule")) {
    training.schedule = choice(table, "schedule", "constant");
  }
  training.bucket = table.optional<bool>("bucket");
  if (table.optional<std::string>("precision")) {
    training.precision = choice(table, "precision", "fp32");
  }
  table.finish();
  return training;
}

std::map<std::string, std::string> read_files(Fields table) {
  std::map<std::string, std::string> files;
  for (const std::string& path : table.keys()) {
    check_relative(path);
    if (path == kManifestFile || path == kSignatureFile) {
      table.fail(path, "cannot be listed: the manifest holds no digest of itself");
    }
    files[path] = required_digest(table, path);
  }
  return files;
}

Claim read_claim(Fields table) {
  Claim claim;
  claim.dataset = required_digest(table, "dataset");
  claim.split = table.required<std::string>("split");
  claim.metric = table.required<std::string>("metric");
  claim.value = table.required<double>("value");
  claim.tolerance = table.required<double>("tolerance");
  table.finish();
  if (!table.in_bounds("value", claim.value)) table.fail("value", "must be a finite number");
  if (!table.in_bounds("tolerance", claim.tolerance)) {
    table.fail("tolerance", "must be a finite number, 0 or more");
  }
  return claim;
}

Json free_table(Fields& root, const std::string& key) {
  root.table(key);  // refuses what is no table
  Json value = root.any(key);
  return value.is_null() ? Json::object() : value;
}

}  // namespace

std::vector<int64_t> InputTable::resolve_layers(int64_t total) const {
  std::vector<int64_t> resolved;
  for (const int64_t layer : layers) {
    if (layer < -(total + 1) || layer > total) {
      throw Error("E_DESC_LAYERS",
                  fmt::format("layer {} is asked for, but the encoder has layers 0 (embeddings) to "
                              "{}, or -{} to -1 counted from the last",
                              layer, total, total + 1),
                  "use the expert with the encoder that it was made for");
    }
    resolved.push_back(layer < 0 ? total + 1 + layer : layer);
  }
  return resolved;
}

Manifest parse_manifest(std::string_view bytes, const std::string& file) {
  const TomlDocument document = parse_toml(bytes, file, "E_REG", kMaxManifest);
  Fields root(document.root, {file, kSchemaCode, &document.lines, &manifest_record()});
  check_schema(root);
  Manifest manifest;
  manifest.library = read_library(required_table(root, "library"));
  manifest.expert = read_identity(required_table(root, "expert"));
  manifest.abi = read_abi(required_table(root, "abi"));
  if (auto output = root.table("output")) manifest.output = read_output(*std::move(output));
  manifest.task = read_task(required_table(root, "task"), manifest.output.kind == "generative");
  manifest.input = read_input(required_table(root, "input"), manifest.is_kind());
  if (auto training = root.table("training")) {
    manifest.training = read_training(*std::move(training));
  }
  manifest.config = free_table(root, "config");
  manifest.files = read_files(required_table(root, "files"));
  manifest.provenance = free_table(root, "provenance");
  for (Fields& claim : root.tables("claim")) manifest.claims.push_back(read_claim(claim));
  root.finish();

  const std::string& labels_file = manifest.task.labels_file;
  if (!labels_file.empty() && !manifest.files.contains(labels_file)) {
    root.fail("files", fmt::format("does not list the labels_file \"{}\"", escaped(labels_file)));
  }
  return manifest;
}

}  // namespace moecollab::registry
