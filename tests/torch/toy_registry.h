// A registry of two small adapter experts on the tiny encoder, and a gate over both.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <utility>
#include <vector>

#include "contribution/install.h"
#include "contribution/package_writer.h"
#include "pipeline/collaboration.h"
#include "pipeline/instantiate.h"
#include "torch/tiny_encoder.h"

namespace moecollab::testing {

class ToyRegistry {
 public:
  using Weights = std::vector<std::pair<std::string, at::Tensor>>;

  explicit ToyRegistry(const TinyEncoder& tiny)
      : encoder_({tiny.folder(), 32, {}}, Compute{}, 64, nullptr, {}) {
    contribution::ensure_registry(folder(), encoder_.settings(), Log());
    for (const std::string domain : {"films", "courts"}) {
      const registry::Package kind = registry::open_package(kind_folder());
      const auto expert = pipeline::instantiate_untrained(
          {kind.folder, manifest(domain), kind.manifest_sha256}, &encoder_, Compute{}, {}, {}, 2,
          Json::object(), weights.size() + 1, Precision::kFp32);
      expert->bind(weights.size() + 1);
      weights.push_back(expert->learnt());
      make_folder(packages_.path() / domain);
      contribution::install(
          options(),
          contribution::write_package(
              packages_.path() / domain,
              {manifest(domain), kind_folder() / "libadapter.so", weights.back(), false, {}}),
          domain);
    }
  }

  const fs::path& folder() const { return folder_.path(); }
  pipeline::PoolOptions options(RunContext context = {}) const {
    pipeline::PoolOptions options;
    options.registry = folder();
    options.context = context;
    return options;
  }

  // Rows for both experts, whose temperatures are 1 and 2.
  pipeline::GateFile gate_for(pipeline::Pool& pool) const {
    pipeline::GateFile file;
    file.gate = gate::make_gate(
        {{2, encoder::Pooling::kMean}},
        at::sin(at::arange(9 * TinyEncoder::kHidden, at::kFloat)).view({9, TinyEncoder::kHidden}),
        2);
    file.gate.weight =
        at::sin(at::arange(2 * TinyEncoder::kHidden, at::kFloat)).view({2, TinyEncoder::kHidden});
    file.gate.mean.zero_();
    file.gate.std.fill_(1);
    file.encoder_fingerprint = pool.encoder()->fingerprint();
    for (const pipeline::InstalledExpert& expert : pool.experts()) {
      file.rows.push_back({expert.name, expert.package.manifest.expert.id, "1.0.0", expert.sha256(),
                           file.rows.empty() ? 1.0 : 2.0, true});
    }
    return file;
  }

  std::vector<Weights> weights;  // of the experts, in the order of registry.toml

 private:
  static fs::path kind_folder() { return fs::path(MOECOLLAB_PLUGIN_FOLDER) / "adapter"; }
  registry::Manifest manifest(const std::string& domain) const {
    registry::Manifest manifest = registry::open_package(kind_folder()).manifest;
    manifest.expert.id += "." + domain;
    manifest.expert.name = domain;
    manifest.task.domain = domain;
    manifest.task.label_space = domain + "/1";
    manifest.task.labels = {"no", "yes"};
    manifest.input.encoder_fingerprint = encoder_.fingerprint();
    manifest.config["bottleneck"] = 8;
    return manifest;
  }

  encoder::Encoder encoder_;
  TemporaryFolder folder_, packages_;
};

}  // namespace moecollab::testing
