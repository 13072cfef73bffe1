#include "registry/compatibility.h"

#include <fmt/format.h>

#include <optional>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab::registry {
namespace {

std::string needs_has(std::string_view what, const std::string& needs, const std::string& has) {
  return fmt::format("{}: the expert needs {}, host has {}", what, needs, has);
}

// Below 1.0 each minor breaks, so it must be equal; from then on the host's may be newer.
std::optional<Refusal> check_abi(const AbiTable& abi, const HostFacts& host) {
  const bool minor_fits =
      host.abi_major == 0 ? abi.minor == host.abi_minor : abi.minor <= host.abi_minor;
  if (abi.major == host.abi_major && minor_fits) return std::nullopt;
  const std::string needed = fmt::format("{}.{}", abi.major, abi.minor);
  const std::string have = fmt::format("{}.{}", host.abi_major, host.abi_minor);
  const bool newer =
      abi.major > host.abi_major || (abi.major == host.abi_major && abi.minor > host.abi_minor);
  return Refusal{
      "E_ABI", needs_has("ABI", needed, have), have, needed,
      newer ? "use a newer moecollab"
            : "build the expert with this host's SDK; train it again if it was trained here"};
}

// A newer SDK is fine as long as the ABI that the plugin needs is there; another major is not, nor,
// below 1.0, another minor.
std::optional<Refusal> check_sdk(const AbiTable& abi, const HostFacts& host) {
  if (abi.sdk.empty()) return std::nullopt;
  const Version built = Version::parse_short(abi.sdk), have = Version::parse_short(host.sdk);
  const bool newer = built.major > have.major ||
                     (built.major == have.major && have.major == 0 && built.minor > have.minor);
  if (!newer) return std::nullopt;
  return Refusal{"E_ABI", needs_has("SDK", abi.sdk, host.sdk), host.sdk, abi.sdk,
                 "use a newer moecollab"};
}

std::optional<Refusal> check_platform(const AbiTable& abi, const HostFacts& host) {
  if (abi.platform == host.platform) return std::nullopt;
  return Refusal{"E_ABI_PLATFORM", needs_has("platform", abi.platform, host.platform),
                 host.platform, abi.platform, "get the package for this platform"};
}

// C++ LibTorch has no stable ABI, so "==2.15.*" is the only form: exactly this minor.
bool is_minor_of(std::string_view wanted, std::string_view version) {
  if (!wanted.starts_with("==") || !wanted.ends_with(".*")) return false;
  return version.starts_with(wanted.substr(2, wanted.size() - 3));
}

std::optional<Refusal> check_encoder(const InputTable& input, const HostFacts& host) {
  if (!input.needs_encoder()) return std::nullopt;
  if (input.encoder_fingerprint != host.encoder_fingerprint) {
    const std::string have =
        host.encoder_fingerprint.empty()
            ? "no encoder"
            : fmt::format("{} (max_length {})", host.encoder_fingerprint, host.max_length);
    return Refusal{"E_DESC_ENCODER", needs_has("encoder", input.encoder_fingerprint, have), have,
                   input.encoder_fingerprint,
                   "the fingerprint covers weights, configuration, tokenizer and max_length: train "
                   "the expert for this encoder, or set [encoder] as it was trained with"};
  }
  try {
    input.resolve_layers(host.layers);
  } catch (const Error& error) {
    return refusal_of(error);
  }
  return std::nullopt;
}

}  // namespace

std::optional<Refusal> check_libtorch(const AbiTable& abi, const HostFacts& host) {
  if (abi.libtorch.empty() || is_minor_of(abi.libtorch, host.libtorch)) return std::nullopt;
  return Refusal{"E_ABI_LIBTORCH", needs_has("LibTorch", abi.libtorch, host.libtorch),
                 host.libtorch, abi.libtorch,
                 "get the package for this LibTorch, or build it again against it"};
}

std::vector<Refusal> check(const Manifest& manifest, const HostFacts& host) {
  std::vector<Refusal> refusals;
  for (auto& refusal : {check_abi(manifest.abi, host), check_sdk(manifest.abi, host),
                        check_platform(manifest.abi, host), check_libtorch(manifest.abi, host),
                        check_encoder(manifest.input, host)}) {
    if (refusal) refusals.push_back(*refusal);
  }
  return refusals;
}

}  // namespace moecollab::registry
