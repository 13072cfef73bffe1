#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <limits>

#include "base/digest.h"
#include "base/error.h"
#include "base/fields.h"
#include "base/strings.h"
#include "base/toml.h"
#include "encoder/tensor_io.h"
#include "training/linear_head.h"

namespace moecollab::training {
namespace {

constexpr const char* kCode = "E_CKPT_BASELINE";
constexpr const char* kTensors = "head.safetensors";
constexpr const char* kAgain = "train it again with `moecollab train-baseline head`";
constexpr size_t kMaxToml = size_t{8} << 20;  // bytes

at::Tensor load(const weights::Safetensors& file, const char* name,
                const std::vector<int64_t>& shape) {
  const weights::TensorView* view = file.find(name);
  if (view == nullptr || view->shape != shape) {
    throw Error(kCode,
                fmt::format("{}: tensor {} is missing or not [{}]", escaped(file.file()), name,
                            fmt::join(shape, ", ")),
                kAgain);
  }
  return encoder::to_tensor(*view);
}

void read_tensors(const fs::path& path, const std::string& digest, HeadFile& head) {
  const std::string seen = file_sha256_hex(path, kCode);
  if (seen != digest) {
    throw Error(
        kCode,
        fmt::format("{}: SHA-256 is {}, head.toml says {}", escaped(path.string()), seen, digest),
        kAgain);
  }
  const auto tensors = weights::Safetensors::open(path);
  const weights::TensorView* mean = tensors.find("mean");
  const int64_t width = mean == nullptr || mean->shape.size() != 1 ? 0 : mean->shape[0];
  head.linear.mean = load(tensors, "mean", {width});
  head.linear.std = load(tensors, "std", {width});
  head.linear.weight = load(tensors, "weight", {head.columns(), width});
  head.linear.bias = load(tensors, "bias", {head.columns()});
}

}  // namespace

int64_t HeadFile::columns() const {
  int64_t count = 0;
  for (const fusion::LabelSpace& space : spaces) count += static_cast<int64_t>(space.labels.size());
  return count;
}

void write_head(const fs::path& registry, const HeadFile& head) {
  const fs::path toml = registry::head_baseline(registry), folder = toml.parent_path();
  make_folder(folder);
  const gate::Gate& g = head.linear;
  const weights::TensorSource tensors[] = {
      encoder::source_of("mean", g.mean), encoder::source_of("std", g.std),
      encoder::source_of("weight", g.weight), encoder::source_of("bias", g.bias)};
  weights::write_safetensors(folder / kTensors, tensors);
  Json features = Json::array(), spaces = Json::array();
  for (const encoder::PooledKey& key : g.features)
    features.push_back({{"layer", key.layer}, {"pooling", encoder::name(key.pooling)}});
  for (const fusion::LabelSpace& space : head.spaces)
    spaces.push_back({{"name", space.name}, {"labels", space.labels}});
  const Json document = {
      {"schema", 1},
      {"kind", "head"},
      {"encoder", head.encoder_fingerprint},
      {"seed", head.seed},
      {"epochs", head.epochs},
      {"texts", head.texts},
      {"held_out_accuracy",
       std::isfinite(head.held_out_accuracy) ? Json(head.held_out_accuracy) : Json(nullptr)},
      {"tensors_sha256", file_sha256_hex(folder / kTensors, kCode)},
      {"feature", features},
      {"data", head.data},
      {"label_space", spaces}};
  write_file_atomic(toml, "# Written by `moecollab train-baseline head`.\n" + to_toml(document));
}

HeadFile read_head(const fs::path& registry) {
  const fs::path toml = registry::head_baseline(registry);
  const TomlDocument document = read_toml(toml, kCode, kMaxToml);
  Fields fields(document.root, {escaped(toml.string()), kCode, &document.lines});
  if (fields.required<int64_t>("schema") != 1)
    fields.fail("schema", "is not 1, the one that this version reads", kAgain);
  if (fields.required<std::string>("kind") != "head") fields.fail("kind", "is not head", kAgain);
  HeadFile head;
  head.encoder_fingerprint = fields.required<std::string>("encoder");
  head.seed = static_cast<uint64_t>(fields.required<int64_t>("seed"));
  head.epochs = static_cast<int32_t>(fields.required<int64_t>("epochs"));
  head.texts = fields.required<int64_t>("texts");
  head.held_out_accuracy =
      fields.value_or("held_out_accuracy", std::numeric_limits<double>::quiet_NaN());
  const auto digest = fields.required<std::string>("tensors_sha256");
  for (Fields& feature : fields.tables("feature")) {
    const auto pooling = encoder::parse_pooling(feature.required<std::string>("pooling"));
    if (!pooling) feature.fail("pooling", "is not mean or cls", kAgain);
    head.linear.features.push_back(
        {static_cast<int>(feature.required<int64_t>("layer")), *pooling});
    feature.finish();
  }
  const Json data = fields.any("data");
  for (const auto& [domain, sha256] : data.items()) head.data[domain] = sha256.get<std::string>();
  for (Fields& space : fields.tables("label_space")) {
    head.spaces.push_back(
        {space.required<std::string>("name"), space.required<std::vector<std::string>>("labels")});
    space.finish();
  }
  fields.finish();
  read_tensors(toml.parent_path() / kTensors, digest, head);
  return head;
}

std::vector<int64_t> head_columns(const HeadFile& head, const std::string& encoder_fingerprint,
                                  const fusion::LabelUnion& labels) {
  if (head.encoder_fingerprint != encoder_fingerprint) {
    throw Error(kCode,
                fmt::format("the head was trained on encoder {}, the registry has {}",
                            head.encoder_fingerprint, encoder_fingerprint),
                kAgain);
  }
  std::vector<int64_t> columns;
  for (const fusion::LabelSpace& space : head.spaces) {
    const auto index = labels.find(space.name);
    const int64_t known = index ? labels.range(*index).count : 0;
    if (!index || static_cast<size_t>(known) != space.labels.size()) {
      throw Error(kCode,
                  fmt::format("the head has {} labels of space {}, the experts {}",
                              space.labels.size(), escaped(space.name, 80), known),
                  kAgain);
    }
    for (const int id : labels.columns(*index, space.labels)) columns.push_back(id);
  }
  if (static_cast<int64_t>(columns.size()) != labels.size()) {
    throw Error(kCode,
                fmt::format("the head knows {} labels, the experts answer in {}", columns.size(),
                            labels.size()),
                kAgain);
  }
  return columns;
}

}  // namespace moecollab::training
