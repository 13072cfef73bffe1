// The host's side: an expert's process, started, called and ended.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/files.h"
#include "base/run_context.h"
#include "worker/engine_side.h"
#include "worker/memory.h"
#include "worker/protocol.h"
#include "worker/sandbox.h"

namespace moecollab::worker {

struct ProcessLimits {
  std::chrono::milliseconds call{30'000};       // how long an answer may take
  std::chrono::microseconds token{500};         // beside that, for each token of a batch
  std::chrono::milliseconds training{600'000};  // and a step of training
  uint64_t memory = uint64_t{4} << 30;          // bytes beyond those of an empty process
  uint64_t resident = uint64_t{1} << 30;        // a process that has taken more is replaced
  int threads = 64;                             // that it may run
  bool require_sandbox = false;                 // E_POLICY unless its level is full
};

// How a process came to its end, for people and for the record of what it did.
struct Ending {
  std::string phase;   // "load", "create", "forward", …
  std::string cause;   // "died of SIGSEGV", "did not answer in 1000 ms", …
  std::string output;  // the last lines that it printed
};

// What call() throws if the process is gone: E_IPC_DIED, E_IPC_DEADLINE, or E_IPC if what came back
// was no answer.
class ProcessEnded : public Error {
 public:
  ProcessEnded(std::string code, const std::string& name, Ending ending);
  const Ending& ending() const { return ending_; }

 private:
  Ending ending_;
};

// One call at a time. The destructor ends the process.
class Process {
 public:
  // Starts moecollab_worker and waits for its sandbox. `name`: the expert's, for messages.
  // `library`: a descriptor of its sealed file, lent for the call; `engine`: for an expert that
  // needs what only the engine has. Throws E_IPC if it cannot be started, ProcessEnded, E_POLICY.
  Process(std::string name, int library, const ProcessLimits& limits, const RunContext& context,
          const std::optional<EngineArguments>& engine = {});
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  SharedMemory& in() { return in_; }
  SharedMemory& out() { return out_; }
  SandboxLevel sandbox() const { return sandbox_; }
  // Which kernels its LibTorch chose; "" if it has none.
  const std::string& processor() const { return processor_; }
  pid_t id() const { return child_; }
  bool is_alive() const { return child_ > 0; }

  // Sends the call and waits for its answer, which is checked as far as its form goes; its numbers
  // are the expert's word. Messages of the expert go to the context's log. Throws ProcessEnded if
  // the process dies, takes longer than `allowed`, runs too many threads or answers nonsense, and
  // E_INTERRUPTED if it does not end soon after a stop; it is gone then.
  Reply call(Call call, const char* phase, std::chrono::milliseconds allowed);
  // The first system call that was refused since the last time: its name, or "".
  std::string take_denied();
  // Bytes of memory that are its own; 0 if that cannot be found out.
  uint64_t resident() const;
  // 0 if that cannot be found out.
  int threads() const;

 private:
  struct Heard;

  void start(int library, const std::optional<EngineArguments>& engine);
  Reply wait(uint64_t sequence, const char* phase, std::chrono::milliseconds allowed);
  std::optional<Reply> hear(uint64_t sequence, const char* phase);
  void check_threads(const char* phase);
  [[noreturn]] void end_late(const char* phase, std::chrono::milliseconds allowed);
  void warn_of_a_weak_sandbox() const;
  // Takes what the process printed, and keeps the last of it.
  void drain();
  void pass_on(const Reply& message);
  [[noreturn]] void end(const char* code, const char* phase, const std::string& cause);
  // Its exit status as waitpid() gives it.
  int reap();
  void kill();

  std::string name_;
  ProcessLimits limits_;
  RunContext context_;
  SharedMemory in_{SharedMemory::Writers::kHost}, out_{SharedMemory::Writers::kBoth};
  pid_t child_ = -1;
  int socket_ = -1, output_ = -1, handle_ = -1;  // its end of the line, its output, its pidfd
  uint64_t sequence_ = 0;
  int messages_ = 0;  // that were passed on
  std::string printed_;
  SandboxLevel sandbox_ = SandboxLevel::kNone;
  std::string processor_;
};

// What this system grants to an expert's process. Throws as Process.
SandboxLevel granted_sandbox();

// The program that experts run in: beside the engine.
fs::path worker_program();

}  // namespace moecollab::worker
