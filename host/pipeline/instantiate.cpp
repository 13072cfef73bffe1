#include "pipeline/instantiate.h"

#include <fmt/format.h>
#include <torch/headeronly/version.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/strings.h"
#include "base/version.h"
#include "encoder/tensor_io.h"
#include "experts/in_process_expert.h"
#include "experts/inputs.h"
#include "pipeline/pool.h"
#include "registry/compatibility.h"
#include "worker/remote_expert.h"

namespace moecollab::pipeline {
namespace {

constexpr uint64_t kMaxLibrary = uint64_t{256} << 20;  // bytes
constexpr uint64_t kMaxWeights = uint64_t{4} << 30;    // bytes
constexpr const char* kWeightsFile = "weights.safetensors";

[[noreturn]] void mismatch(const registry::Package& package, const std::string& what,
                           const std::string& manifest, const std::string& library) {
  throw Error(
      "E_DESC_MISMATCH",
      fmt::format("{}: {} is {} in the manifest, {} in the library",
                  escaped(package.folder.string()), what, escaped(manifest), escaped(library)),
      "the author's expert.toml and code must agree");
}

// The library's file, as its manifest pins it.
std::string library_bytes(const registry::Package& package) {
  const registry::Manifest& manifest = package.manifest;
  if (const auto refusal = registry::check_libtorch(manifest.abi, host_facts(nullptr)))
    throw Error(refusal->code,
                fmt::format("{}: {}", escaped(package.folder.string()), refusal->rule),
                refusal->hint);
  return registry::read_checked(package, registry::library_file(manifest), kMaxLibrary);
}

void check_note(const registry::Package& package, const experts::LibraryNote& note) {
  const registry::LibraryTable& library = package.manifest.library;
  if (note.id != library.id) mismatch(package, "library.id", library.id, note.id);
  if (note.version != library.version.text())
    mismatch(package, "library.version", library.version.text(), note.version);
}

// A library may fix its class count and labels in code; then the manifest must agree.
void check_fixed_labels(const registry::Package& package, const experts::Library& library,
                        int32_t classes) {
  const moec_library_info& info = library.info();
  if (info.classes == 0) return;
  if (info.classes != classes) {
    mismatch(package, "the number of labels", std::to_string(classes),
             std::to_string(info.classes));
  }
  for (int32_t i = 0; info.labels != nullptr && i < info.classes; ++i) {
    const std::string code = experts::to_string(info.labels[i]);
    const std::string& manifest = package.manifest.task.labels.at(static_cast<size_t>(i));
    if (code != manifest) mismatch(package, fmt::format("label {}", i + 1), manifest, code);
  }
}

experts::ExpertSetup setup_of(const registry::Package& package, const encoder::Encoder* encoder,
                              const Compute& compute, const RunContext& context, int32_t classes,
                              const Json& config) {
  const registry::Manifest& manifest = package.manifest;
  experts::ExpertSetup setup;
  setup.name = manifest.expert.name;
  setup.classes = classes;
  setup.probabilities = manifest.output.kind == "probabilities";
  setup.inputs = experts::input_bits(manifest.input);
  setup.compute = compute;
  setup.context = context;
  setup.max_batch = manifest.input.max_batch;
  setup.config = manifest.config;
  setup.config.update(config);
  if (setup.inputs & MOEC_INPUT_POOLED)
    setup.pooling = encoder::parse_pooling(manifest.input.pooling);
  if (setup.inputs & ~uint32_t{MOEC_INPUT_TEXT}) {
    if (encoder == nullptr) {
      throw Error("E_DESC_ENCODER",
                  fmt::format("expert {} reads encoder features, but no encoder is set",
                              escaped(setup.name)),
                  "set [encoder] path in registry.toml, or --encoder");
    }
    setup.encoder = &encoder->config();
    setup.encoder_weights = encoder;
    setup.encoder_fingerprint = encoder->fingerprint();
    setup.max_length = encoder->max_length();
    for (const int64_t layer : manifest.input.resolve_layers(encoder->config().layers)) {
      setup.layers.push_back(static_cast<int32_t>(layer));
    }
    // Slots are handed over from the lowest layer to the highest, each once.
    std::sort(setup.layers.begin(), setup.layers.end());
    setup.layers.erase(std::unique(setup.layers.begin(), setup.layers.end()), setup.layers.end());
  }
  return setup;
}

// All but what load_library() and read_weights() check where they read it.
void check_other_files(const registry::Package& package) {
  registry::check_files(
      package, std::array<std::string, 2>{registry::library_file(package.manifest), kWeightsFile});
}

std::vector<std::pair<std::string, at::Tensor>> read_weights(const registry::Package& package) {
  std::vector<std::pair<std::string, at::Tensor>> result;
  if (!package.manifest.files.contains(kWeightsFile)) return result;
  weights::ReadLimits limits;
  limits.max_header = uint64_t{16} << 20;
  limits.require_finite = true;
  const auto file =
      weights::Safetensors::from_bytes(registry::read_checked(package, kWeightsFile, kMaxWeights),
                                       (package.folder / kWeightsFile).string(), limits);
  for (const weights::TensorView& view : file.tensors()) {
    result.emplace_back(std::string(view.name), encoder::to_tensor(view));
  }
  return result;
}

// Reading the file of the library is the caller's part, as are the setup's values.
std::unique_ptr<experts::Expert> make(const registry::Package& package, const std::string& bytes,
                                      const Place& place, experts::ExpertSetup setup) {
  const registry::Manifest& manifest = package.manifest;
  const std::string name = registry::library_file(manifest);
  const std::string shown = escaped((package.folder / name).string());
  const bool states_libtorch = !manifest.abi.libtorch.empty();
  if (place) {
    experts::SealedLibrary sealed(bytes, shown, states_libtorch);
    check_note(package, sealed.note());
    return std::make_unique<worker::RemoteExpert>(std::move(sealed), manifest.task.labels,
                                                  std::move(setup), *place);
  }
  const experts::Library& library =
      experts::Library::load(bytes, manifest.files.at(name), shown, states_libtorch);
  check_note(package, library.note());
  check_fixed_labels(package, library, setup.classes);
  return std::make_unique<experts::InProcessExpert>(library, std::move(setup));
}

}  // namespace

std::unique_ptr<experts::Expert> instantiate(const registry::Package& package,
                                             const encoder::Encoder* encoder,
                                             const Compute& compute, const RunContext& context,
                                             const Place& place, const Json& config) {
  check_other_files(package);
  const auto classes = static_cast<int32_t>(package.manifest.task.labels.size());
  const std::string bytes = library_bytes(package);
  experts::ExpertSetup setup = setup_of(package, encoder, compute, context, classes, config);
  setup.weights = read_weights(package);
  return make(package, bytes, place, std::move(setup));
}

std::unique_ptr<experts::Expert> instantiate_untrained(
    const registry::Package& package, const encoder::Encoder* encoder, const Compute& compute,
    const RunContext& context, const Place& place, int32_t classes, const Json& config,
    uint64_t seed, Precision precision) {
  registry::check_files(package);
  const std::string bytes = library_bytes(package);
  experts::ExpertSetup setup = setup_of(package, encoder, compute, context, classes, config);
  setup.seed = seed;
  setup.training = precision;
  setup.adopt_layers = true;
  return make(package, bytes, place, std::move(setup));
}

std::string engine_version(const Compute& compute) {
  return fmt::format("moecollab {} libtorch {} {}", kVersion, TORCH_VERSION, compute.identity());
}

}  // namespace moecollab::pipeline
