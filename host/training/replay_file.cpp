#include "training/replay_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>

#include "base/digest.h"
#include "base/error.h"
#include "base/json.h"
#include "base/strings.h"
#include "encoder/tensor_io.h"
#include "pipeline/gate_file.h"

namespace moecollab::training {
namespace {

constexpr const char* kLogitsPrefix = "logits.";

[[noreturn]] void fail(const std::string& file, const std::string& what) {
  throw Error("E_GATE", fmt::format("{}: {}", escaped(file), what),
              "keep it again with `moecollab train-gate --keep-replay N`, or remove it");
}

// Borrows the values.
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
    replay.texts.domains = metadata(file, "domains").get<std::vector<std::string>>();
    for (const Json& label : metadata(file, "labels"))
      replay.labels.emplace_back(label.at(0).get<std::string>(), label.at(1).get<std::string>());
  } catch (const nlohmann::json::exception& error) {
    fail(file.file(), escaped(error.what(), 200));
  }
}

at::Tensor unknown_logits(int64_t rows, int64_t classes) {
  return at::full({rows, classes}, std::numeric_limits<float>::quiet_NaN(), at::kFloat);
}

// Global id of a kept label.
int64_t kept_target(const std::pair<std::string, std::string>& kept,
                    const fusion::LabelUnion& labels) {
  const auto& [space, label] = kept;
  const auto index = labels.find(space);
  if (const auto id = index ? labels.id(*index, label) : std::nullopt) return *id;
  throw Error("E_GATE",
              fmt::format("the kept replay has label \"{}\" of space {}, which no installed expert "
                          "answers in",
                          escaped(label, 80), escaped(space, 80)),
              "fit the gate again with `moecollab train-gate`");
}

}  // namespace

std::string write_replay(const fs::path& folder, const KeptReplay& replay) {
  const fs::path path = registry::replay_file(folder);
  make_folder(path.parent_path());
  const AnsweredTexts& texts = replay.texts;
  const std::vector<int64_t> domain_of(texts.domain_of.begin(), texts.domain_of.end());
  const std::vector<int64_t> label_of(texts.targets.const_data_ptr<int64_t>(),
                                      texts.targets.const_data_ptr<int64_t>() + texts.rows());
  std::vector<weights::TensorSource> tensors = {encoder::source_of("z", texts.z),
                                                index_source("domain", domain_of),
                                                index_source("label", label_of)};
  std::map<std::string, at::Tensor> by_package;  // one package may be installed under two names
  for (size_t e = 0; e < replay.experts.size(); ++e)
    by_package[replay.experts[e]] = texts.logits[e];
  for (const auto& [sha256, logits] : by_package)
    tensors.push_back(encoder::source_of(kLogitsPrefix + sha256, logits));
  Json features = Json::array(), labels = Json::array();
  for (const encoder::PooledKey& key : replay.features)
    features.push_back({key.layer, encoder::name(key.pooling)});
  for (const auto& [space, label] : replay.labels) labels.push_back({space, label});
  weights::write_safetensors(path, tensors,
                             {{"encoder", to_line(replay.encoder_fingerprint)},
                              {"features", to_line(features)},
                              {"domains", to_line(texts.domains)},
                              {"labels", to_line(labels)}});
  return file_sha256_hex(path, "E_GATE");
}

std::optional<KeptReplay> read_replay(const fs::path& registry, const std::string& sha256) {
  if (sha256.empty() && !fs::exists(registry::replay_file(registry))) return std::nullopt;
  const fs::path path = pipeline::tensor_file(registry, registry::replay_file(registry), sha256);
  const auto file = weights::Safetensors::open(path);
  KeptReplay replay;
  read_names(file, replay);
  AnsweredTexts& texts = replay.texts;
  const std::vector<int64_t> domain_of = indices(file, "domain", texts.domains.size());
  const std::vector<int64_t> label_of = indices(file, "label", replay.labels.size());
  if (domain_of.size() != label_of.size())
    fail(path.string(), "domain and label have different lengths");
  const auto rows = static_cast<int64_t>(domain_of.size());
  texts.domain_of.assign(domain_of.begin(), domain_of.end());
  texts.targets = encoder::index_tensor(label_of);
  texts.z = matrix(file, "z", rows);
  for (const weights::TensorView& view : file.tensors()) {
    if (!view.name.starts_with(kLogitsPrefix)) continue;
    const std::string name(view.name);
    replay.experts.push_back(name.substr(std::strlen(kLogitsPrefix)));
    texts.logits.push_back(matrix(file, name, rows));
  }
  return replay;
}

AnsweredTexts kept_texts(const KeptReplay& kept, const pipeline::Pool& pool,
                         const std::vector<pipeline::InstalledExpert*>& experts,
                         const std::vector<encoder::PooledKey>& features,
                         const std::set<std::string>& covered) {
  if (kept.encoder_fingerprint != pool.encoder()->fingerprint() || kept.features != features) {
    throw Error("E_GATE", "the kept replay is of another encoder, or of other layers than the gate",
                "fit the gate again with `moecollab train-gate --keep-replay N`");
  }
  AnsweredTexts texts;
  std::vector<int64_t> chosen, targets, spaces;
  for (int64_t i = 0; i < kept.texts.rows(); ++i) {
    const auto domain = static_cast<size_t>(kept.texts.domain_of[static_cast<size_t>(i)]);
    if (covered.contains(kept.texts.domains[domain])) continue;
    const auto label = static_cast<size_t>(kept.texts.targets[i].item<int64_t>());
    chosen.push_back(i);
    targets.push_back(kept_target(kept.labels[label], pool.labels()));
    spaces.push_back(pool.labels().space_of(static_cast<int>(targets.back())));
    texts.domain_of.push_back(index_among(texts.domains, kept.texts.domains[domain]));
  }
  if (chosen.empty()) return texts;
  const at::Tensor index = encoder::index_tensor(chosen);
  texts.z = kept.texts.z.index_select(0, index);
  texts.targets = encoder::index_tensor(targets);
  texts.spaces = encoder::index_tensor(spaces);
  texts.seen.assign(experts.size(), 0);
  for (const pipeline::InstalledExpert* expert : experts) {
    const auto it = std::find(kept.experts.begin(), kept.experts.end(), expert->sha256());
    const int64_t classes = expert->expert->classes();
    const at::Tensor logits =
        it == kept.experts.end()
            ? at::Tensor()
            : kept.texts.logits[static_cast<size_t>(it - kept.experts.begin())];
    texts.logits.push_back(logits.defined() && logits.size(1) == classes
                               ? logits.index_select(0, index)
                               : unknown_logits(index.numel(), classes));
  }
  return texts;
}

KeptReplay to_replay(const AnsweredTexts& texts, const pipeline::Pool& pool,
                     const std::vector<pipeline::InstalledExpert*>& experts,
                     const std::vector<encoder::PooledKey>& features, int64_t most) {
  std::vector<int64_t> chosen, count(texts.domains.size(), 0);
  for (size_t i = 0; i < texts.domain_of.size(); ++i) {
    if (++count[static_cast<size_t>(texts.domain_of[i])] <= most)
      chosen.push_back(static_cast<int64_t>(i));
  }
  KeptReplay kept;
  kept.encoder_fingerprint = pool.encoder()->fingerprint();
  kept.features = features;
  const fusion::LabelUnion& labels = pool.labels();
  for (int id = 0; id < labels.size(); ++id)
    kept.labels.emplace_back(labels.spaces()[static_cast<size_t>(labels.space_of(id))].name,
                             labels.label(id));
  for (const pipeline::InstalledExpert* expert : experts) kept.experts.push_back(expert->sha256());
  kept.texts = texts.select(encoder::index_tensor(chosen));
  return kept;
}

}  // namespace moecollab::training
