// A throw-away worker: proof that ABI 0.9 carries an expert that lives in another process.
#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "plugin/worker/protocol.h"

namespace moecollab::plugin_test {

// The host's side. Throws std::runtime_error with the expert's message if a call fails, or if the
// worker is gone.
class Worker {
 public:
  Worker() {
    int sockets[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0)
      throw std::runtime_error("no socket");
    socket_ = sockets[0];
    std::string program = MOECOLLAB_THROWAWAY_WORKER, theirs = std::to_string(sockets[1]),
                file = std::to_string(memory.file());
    char* arguments[] = {program.data(), theirs.data(), file.data(), nullptr};
    child_ = fork();
    if (child_ == 0) {
      // The process may have threads: until exec(), only what is safe in a signal handler.
      fcntl(sockets[1], F_SETFD, 0);
      fcntl(memory.file(), F_SETFD, 0);
      execv(arguments[0], arguments);
      _exit(127);
    }
    close(sockets[1]);
  }
  ~Worker() {
    close(socket_);  // the worker reads the end of its calls and leaves
    waitpid(child_, nullptr, 0);
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  SharedMemory memory;

  // Makes the worker's expert; once.
  Made create(const std::string& library, const ExpertSpec& spec) {
    Message& m = memory.message();
    copy_text(m.creation.library, library);
    copy_text(m.creation.config, spec.config);
    m.creation.classes = spec.classes;
    m.creation.inputs = spec.inputs;
    m.creation.pooling = spec.pooling;
    m.creation.hidden = spec.hidden;
    m.creation.layer_count = static_cast<int32_t>(spec.layers.size());
    std::copy(spec.layers.begin(), spec.layers.end(), m.creation.layers);
    m.tensor_count = 0;
    for (const auto& [name, weight] : spec.weights) {
      const Floats copy = memory.floats(weight.shape());
      std::copy_n(weight.data(), weight.size(), copy.data());
      copy_text(put(copy).name, name);
    }
    send(Op::create);
    return m.made;
  }

  // The number that the worker answers with: of forward_train, the saved context.
  uint64_t call(Op op, const std::vector<const Floats*>& tensors = {}, uint64_t number = 0,
                const std::vector<std::string>& texts = {}) {
    Message& m = memory.message();
    m.number = number;
    m.tensor_count = 0;
    for (const Floats* tensor : tensors) put(*tensor);
    put_texts(texts);
    send(op);
    return m.number;
  }

 private:
  WireTensor& put(const Floats& tensor) {
    Message& m = memory.message();
    WireTensor& wire = m.tensors[m.tensor_count++];
    wire = {{}, memory.offset(tensor.data()), static_cast<int64_t>(tensor.shape().size()), {}};
    std::copy(tensor.shape().begin(), tensor.shape().end(), wire.shape);
    return wire;
  }

  void put_texts(const std::vector<std::string>& texts) {
    Message& m = memory.message();
    m.texts = 0;
    std::string all;
    for (const std::string& text : texts) {
      m.text_sizes[m.texts++] = static_cast<int64_t>(text.size());
      all += text;
    }
    if (!all.empty()) m.text_offset = memory.allocate(all.size());
    std::copy(all.begin(), all.end(), memory.at(m.text_offset));
  }

  void send(Op op) {
    Message& m = memory.message();
    m.op = op;
    char byte = 0;
    if (::send(socket_, &byte, 1, MSG_NOSIGNAL) != 1 || read(socket_, &byte, 1) != 1)
      throw std::runtime_error("the worker is gone");
    if (m.status != MOEC_OK) throw std::runtime_error(m.error);
  }

  int socket_;
  pid_t child_;
};

}  // namespace moecollab::plugin_test
