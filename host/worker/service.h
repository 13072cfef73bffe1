// The expert's side: one object of one library, called as the host's messages say.
#pragma once

#include <moecollab/abi.h>
#include <moecollab/ext/draft/bottleneck.h>
#include <moecollab/ext/draft/explain.h>
#include <moecollab/ext/fit.h>
#include <moecollab/ext/params.h>
#include <moecollab/ext/state.h>
#include <moecollab/ext/train.h>

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>

#include "experts/library.h"
#include "worker/memory.h"
#include "worker/protocol.h"
#include "worker/sandbox.h"

namespace moecollab::worker {

// Where the host's end of the conversation is. Thread-safe.
class HostLine {
 public:
  explicit HostLine(int socket) : socket_(socket) {}
  // false if the host is gone.
  bool send(const Reply& reply);
  // A message for people, cut to what a reply holds.
  void say(ReplyKind kind, std::string_view text);
  // nullopt if the host is gone.
  std::optional<Call> receive();

 private:
  int socket_;
  std::mutex sending_;
};

// The host as the expert sees it. Outlives the expert.
class ExpertHost {
 public:
  virtual ~ExpertHost() = default;
  // What the next expert's training computes in: MOEC_PRECISION_FP32, …
  virtual void set_precision(int32_t precision) = 0;
  virtual const moec_host& table() const = 0;
  // Whether it was asked for an extension that only a host with the engine has.
  virtual bool lacked_engine() const = 0;
};

// One that offers moecollab.draft.precision/1 alone. `in`: the region.
std::unique_ptr<ExpertHost> plain_host(HostLine& line, const SharedMemory& in);

// Runs until the host is gone.
class Service {
 public:
  // `library`: its descriptor. `level`: of the sandbox, which is closed when the library is loaded.
  Service(HostLine& line, ExpertHost& host, SharedMemory& in, SharedMemory& out, int library,
          SandboxLevel level);
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  void run();

 private:
  struct Views;  // a batch, and what it points into

  void answer(const Call& call, Reply& reply);
  moec_status dispatch(const Call& call, Reply& reply, moec_error& error);
  void load(const Call& call);
  moec_status create(const Call& call, Reply& reply, moec_error& error);
  moec_status fill_facts(Reply& reply, moec_error& error);
  moec_status describe_parameter(const Call& call, Reply& reply, moec_error& error);
  moec_status describe_state(const Call& call, Reply& reply, moec_error& error);
  moec_status bind(const Call& call, moec_error& error);
  moec_status forward_train(const Call& call, Reply& reply, moec_error& error);
  moec_status vjp(const Call& call, moec_error& error);
  moec_status fit(const Call& call, Reply& reply, moec_error& error);
  moec_status copy_bottleneck(const Call& call, moec_error& error);
  moec_status explain(const Call& call, Reply& reply, moec_error& error);

  template <typename T>
  const T* given(uint64_t offset) const {
    return offset == 0 ? nullptr : reinterpret_cast<const T*>(in_.at(offset));
  }
  moec_string text(const WireText& wire) const { return {in_.at(wire.offset), wire.size}; }
  // Points into `wire` and a region.
  moec_tensor tensor(const WireTensor& wire) const;
  // Throws Error for a method of an extension that the library lacks.
  template <typename T>
  const T& required(const T* extension, const char* id) const;

  HostLine& line_;
  ExpertHost& host_;
  SharedMemory &in_, &out_;
  int descriptor_;
  SandboxLevel level_;
  std::unique_ptr<experts::Library> library_;
  moec_expert* object_ = nullptr;
  const moec_ext_params* params_ = nullptr;
  const moec_ext_train* train_ = nullptr;
  const moec_ext_fit* fit_ = nullptr;
  const moec_ext_state* state_ = nullptr;
  const moec_ext_bottleneck* bottleneck_ = nullptr;
  const moec_ext_explain* explain_ = nullptr;
  std::map<uint64_t, std::pair<std::unique_ptr<Views>, moec_saved*>> saved_;
  uint64_t next_saved_ = 1;
};

}  // namespace moecollab::worker
