// What an expert's process has of the engine: LibTorch for libraries that use it, and the encoder's
// weights and blocks. The engine library gives it to moecollab_worker, which needs none itself.
#pragma once

#include <memory>
#include <string>

#include "worker/service.h"

namespace moecollab::worker {

// The run as the host knows it, in words of the command line that it starts the process with.
struct EngineArguments {
  int threads = 1;
  std::string encoder;  // its folder; "": the registry names none
  int max_length = 0;
  bool literal_special_tokens = false;
  int64_t batch_tokens = 0;
};

class EngineSide {
 public:
  virtual ~EngineSide() = default;
  // Before the sandbox, on one thread: LibTorch finds out about the processor and seeds its
  // generator by files that are out of reach later, and the encoder's are read. Throws Error.
  virtual void prepare(const EngineArguments& arguments) = 0;
  // A host with all extensions.
  virtual std::unique_ptr<ExpertHost> host(HostLine& line, const SharedMemory& in) = 0;
  // Which kernels LibTorch chose for this processor: "AVX512", …
  virtual std::string processor() const = 0;
};

// The one of a process that has the engine.
EngineSide& engine_side();

// What the engine library exports as "moecollab_engine_side".
using EngineSideEntry = EngineSide* (*)();

}  // namespace moecollab::worker
