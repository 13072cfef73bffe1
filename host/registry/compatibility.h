// Whether this host can serve an expert, by what its manifest says; no code of it runs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "registry/manifest.h"
#include "registry/state.h"

namespace moecollab::registry {

struct HostFacts {
  std::string platform;  // "linux-x86_64"
  int abi_major = 0, abi_minor = 0;
  std::string sdk;                  // the SDK release of this host: "1.0.0"
  std::string encoder_fingerprint;  // empty = the registry has no encoder
  int64_t layers = 0;               // blocks of the encoder
  int64_t max_length = 0;           // tokens
  std::string libtorch;             // of the engine: "2.15.0"
};

// Every reason why not, in this order; empty = compatible. E_ABI (major, minor or SDK),
// E_ABI_PLATFORM, E_ABI_LIBTORCH, and for an expert that
// names an encoder E_DESC_ENCODER, else E_DESC_LAYERS.
std::vector<Refusal> check(const Manifest& manifest, const HostFacts& host);

// The same for LibTorch alone: an expert of the torch tier runs with the minor that it was built
// with.
std::optional<Refusal> check_libtorch(const AbiTable& abi, const HostFacts& host);

}  // namespace moecollab::registry
