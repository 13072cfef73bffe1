#include "contribution/package_writer.h"

#include "base/digest.h"
#include "base/error.h"
#include "base/strings.h"
#include "encoder/tensor_io.h"
#include "pipeline/probe.h"
#include "registry/labels.h"

namespace moecollab::contribution {
namespace {

constexpr const char* kWeightsFile = "weights.safetensors";
constexpr const char* kLabelsFile = "labels.txt";
constexpr size_t kMaxInlineBytes = 16 * 1024;  // of all labels, a quarter of what a manifest holds

void write_weights(const fs::path& file,
                   const std::vector<std::pair<std::string, at::Tensor>>& tensors, bool bfloat16) {
  std::vector<at::Tensor> stored;  // kept until the file is written
  std::vector<weights::TensorSource> sources;
  for (const auto& [name, tensor] : tensors) {
    stored.push_back(bfloat16 ? tensor.to(at::kBFloat16) : tensor);
    sources.push_back(encoder::source_of(name, stored.back()));
  }
  weights::write_safetensors(file, sources);
}

registry::Manifest with_labels_file(registry::Manifest manifest) {
  size_t bytes = 0;
  for (const std::string& label : manifest.task.labels) bytes += label.size();
  const bool inside =
      manifest.task.labels.size() <= registry::kMaxInlineLabels && bytes <= kMaxInlineBytes;
  manifest.task.labels_file = inside ? "" : kLabelsFile;
  return manifest;
}

}  // namespace

void require_readable(const registry::Manifest& manifest) {
  registry::Manifest written = with_labels_file(manifest);
  const std::string digest(64, '0');
  written.files = {
      {"liblibrary.so", digest}, {kWeightsFile, digest}, {pipeline::kProbeFile, digest}};
  if (!written.task.labels_file.empty()) written.files[kLabelsFile] = digest;
  try {
    registry::parse_manifest(registry::to_toml_text(written),
                             std::string("the new expert's ") + registry::kManifestFile);
  } catch (const Error& error) {
    throw Error("E_CONFIG", error.what(),
                error.hint().empty() ? "change the option that this key comes from" : error.hint());
  }
}

registry::Package write_package(const fs::path& folder, const PackageContents& contents) {
  registry::Manifest manifest = with_labels_file(contents.manifest);
  manifest.files.clear();
  const auto record = [&](const std::string& name) {
    manifest.files[name] = file_sha256_hex(folder / name, "E_WRITE");
  };
  const std::string library = contents.library.filename().string();
  write_file_atomic(folder / library, read_file(contents.library, "E_PLUG_IO"));
  record(library);
  if (!contents.weights.empty()) {
    write_weights(folder / kWeightsFile, contents.weights, contents.bfloat16);
    record(kWeightsFile);
  }
  if (!manifest.task.labels_file.empty()) {
    write_file_atomic(folder / kLabelsFile, join(manifest.task.labels, "\n") + "\n");
    record(kLabelsFile);
  }
  if (!contents.probe.is_null()) {
    write_file_atomic(folder / pipeline::kProbeFile, to_text(contents.probe));
    record(pipeline::kProbeFile);
  }
  write_file_atomic(folder / registry::kManifestFile, registry::to_toml_text(manifest));
  return registry::open_package(folder);
}

}  // namespace moecollab::contribution
