// What a device cannot do, as an error for its user.
#pragma once

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include "base/error.h"
#include "base/strings.h"
#include "encoder/device.h"
#include "engine/options.h"

namespace moecollab::engine {

// What a GPU cannot do is the user's to know, in LibTorch's words and with its figures, not a fault
// of this program.
template <typename Verb>
Json naming_device(const RunOptions& options, Verb verb) {
  try {
    return verb();
  } catch (const c10::Error& error) {
    if (options.compute.device.is_cpu()) throw;
    throw Error("E_CONFIG",
                fmt::format("{} {}: {}", name(options.compute.device),
                            encoder::is_out_of_memory(error) ? "has no memory for this" : "failed",
                            escaped(error.what_without_backtrace(), 300)),
                "`moecollab doctor` says what is here; end what else uses it, or use --device cpu");
  }
}

}  // namespace moecollab::engine
