// What `doctor` says of the engine and of GPUs.
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <fmt/format.h>
#include <moecollab/abi.h>
#include <torch/headeronly/version.h>

#include "base/compute.h"
#include "base/cuda_driver.h"
#include "base/version.h"
#include "encoder/device.h"
#include "engine/verbs.h"

namespace moecollab::engine {
namespace {

Json or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

}  // namespace

Json run_facts(const RunOptions& options) {
  std::vector<std::string> precisions;
  for (const Precision precision : usable_precisions()) precisions.emplace_back(name(precision));
  return {{"version", kVersion},
          {"libtorch", TORCH_VERSION},
          {"abi", fmt::format("{}.{}", MOEC_ABI_MAJOR, MOEC_ABI_MINOR)},
          {"cpu_capability", at::get_cpu_capability()},
          {"precisions", precisions},
          {"training_precision", name(resolve_training_precision("auto"))},
          {"threads", at::get_num_threads()},
          {"device", name(options.compute.device)}};
}

Json run_cuda_facts() {
  const CudaDriver& driver = cuda_driver();
  const encoder::CudaState& state = encoder::cuda_state();
  Json devices = Json::array();
  for (const CudaDevice& device : driver.devices)
    devices.push_back({{"name", device.name},
                       {"memory_bytes", device.memory_bytes},
                       {"capability", device.capability}});
  return {{"driver_cuda", or_null(driver.version)},
          {"devices", devices},
          {"usable", state.devices},
          {"missing", or_null(state.failure)},
          {"hint", or_null(state.hint)}};
}

}  // namespace moecollab::engine
