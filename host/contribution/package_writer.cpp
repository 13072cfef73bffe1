#include "contribution/package_writer.h"

#include "base/digest.h"
#include "encoder/tensor_io.h"
#include "pipeline/probe.h"

namespace moecollab::contribution {
namespace {

constexpr const char* kWeightsFile = "weights.safetensors";

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

}  // namespace

registry::Package write_package(const fs::path& folder, const PackageContents& contents) {
  registry::Manifest manifest = contents.manifest;
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
  if (!contents.probe.is_null()) {
    write_file_atomic(folder / pipeline::kProbeFile, to_text(contents.probe));
    record(pipeline::kProbeFile);
  }
  write_file_atomic(folder / registry::kManifestFile, registry::to_toml_text(manifest));
  return registry::open_package(folder);
}

}  // namespace moecollab::contribution
