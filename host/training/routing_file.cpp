#include "training/routing_file.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/strings.h"
#include "encoder/tensor_io.h"

namespace moecollab::training {
namespace {

constexpr const char* kFile = "routing.safetensors";

// Name of the tensor that holds the layer's means.
std::string tensor_name(const char* kind, const encoder::PooledKey& key, int64_t last) {
  return key.layer == last ? kind : fmt::format("{}.{}", kind, key.layer);
}

// The layer's tensor as [m, H], or nullptr.
const weights::TensorView* find(const weights::Safetensors& file, const char* kind,
                                const encoder::PooledKey& key, int64_t last) {
  return key.pooling == encoder::Pooling::kMean ? file.find(tensor_name(kind, key, last)) : nullptr;
}

}  // namespace

std::optional<RoutingFeatures> read_routing(const registry::Package& package,
                                            const encoder::Encoder& encoder, const gate::Gate& gate,
                                            Log log) {
  if (!package.manifest.files.contains(kFile)) return std::nullopt;
  weights::ReadLimits limits;
  limits.require_finite = true;
  const auto file = weights::Safetensors::open(package.folder / kFile, limits);
  const std::string name = escaped(file.file());
  const auto stated = file.metadata().find("encoder");
  if (stated == file.metadata().end() || stated->second != encoder.fingerprint()) {
    throw Error("E_DESC_ENCODER",
                fmt::format("{}: its features are of encoder {}, the registry has {}", name,
                            stated == file.metadata().end() ? "none" : escaped(stated->second, 80),
                            encoder.fingerprint()),
                "ask its author for features of this encoder, or give the data with --data");
  }
  const int64_t hidden = encoder.config().hidden, last = encoder.config().layers;
  const char* kind = file.find("features") != nullptr ? "features" : "mean";
  const weights::TensorView* first = file.find(kind);
  const int64_t rows =
      first == nullptr ? 0 : (first->shape.size() == 2 ? first->shape[0] : int64_t{1});
  if (rows < 1) {
    throw Error("E_ST_ROUTING", fmt::format("{}: it holds neither features nor mean", name),
                "ask its author for another, or give the data with --data");
  }
  std::vector<at::Tensor> parts;
  std::vector<std::string> missing;
  for (size_t i = 0; i < gate.features.size(); ++i) {
    const encoder::PooledKey& key = gate.features[i];
    const weights::TensorView* view = find(file, kind, key, last);
    if (view == nullptr) {
      missing.push_back(std::to_string(key.layer));
      parts.push_back(
          gate.mean.narrow(0, static_cast<int64_t>(i) * hidden, hidden).expand({rows, hidden}));
      continue;
    }
    const at::Tensor part = encoder::to_tensor(*view);
    if (part.numel() != rows * hidden) {
      throw Error("E_ST_ROUTING",
                  fmt::format("{}: tensor {} has {} numbers, expected [{}, {}]", name,
                              escaped(std::string(view->name)), part.numel(), rows, hidden),
                  "ask its author for another, or give the data with --data");
    }
    parts.push_back(part.view({rows, hidden}));
  }
  if (missing.size() == gate.features.size()) {
    throw Error("E_ST_ROUTING",
                fmt::format("{}: it has no features of layers {}, and the gate reads no others",
                            name, join(missing, ", ")),
                "ask its author for another, or give the data with --data");
  }
  if (!missing.empty()) {
    log.warning(
        fmt::format("{} has no features of layers {}, which the gate reads too: they "
                    "count as average",
                    name, join(missing, ", ")));
  }
  return RoutingFeatures{at::cat(parts, 1), std::string_view(kind) == "mean"};
}

}  // namespace moecollab::training
