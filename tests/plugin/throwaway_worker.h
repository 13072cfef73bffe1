// A throw-away worker: proof that ABI 0.9 carries an expert that lives in another process. Tensors
// lie in shared memory; a message says what to call and where its tensors are; nothing else
// crosses.
#pragma once

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <deque>

#include "plugin/loaded_library.h"

namespace moecollab::plugin_test {
enum class Op {
  create_adapter,
  create_lexical,
  bind,
  init,
  params_changed,
  forward,
  forward_train,
  vjp,
  release_saved,
  read_state,
  write_state,
  die
};

// A float32 tensor in the shared memory.
struct WireTensor {
  int64_t offset, ndim, shape[2];
};

// A call and its answer.
struct Message {
  Op op;
  int32_t classes, hidden;
  uint64_t number;  // seed, state index or saved context
  int64_t texts, text_offset, text_sizes[8];
  int64_t tensor_count;
  WireTensor tensors[16];
  moec_status status;
  char error[512];
};

constexpr size_t kMemory = 16 << 20;

// Shared by the process and its worker; starts with the message.
class SharedMemory {
 public:
  SharedMemory()
      : base_(static_cast<char*>(
            mmap(nullptr, kMemory, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
    if (base_ == MAP_FAILED) throw std::runtime_error("no shared memory");
  }
  ~SharedMemory() { munmap(base_, kMemory); }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  Message& message() { return *reinterpret_cast<Message*>(base_); }
  char* at(int64_t offset) { return base_ + offset; }
  int64_t offset(const void* pointer) const { return static_cast<const char*>(pointer) - base_; }
  int64_t allocate(size_t bytes) {
    const size_t start = used_;
    used_ += (bytes + 63) / 64 * 64;
    if (used_ > kMemory) throw std::runtime_error("the shared memory is full");
    return static_cast<int64_t>(start);
  }
  Floats floats(const std::vector<int64_t>& shape) {
    size_t size = sizeof(float);
    for (const int64_t extent : shape) size *= static_cast<size_t>(extent);
    return Floats(shape, reinterpret_cast<float*>(at(allocate(size))));
  }

 private:
  char* base_;
  size_t used_ = (sizeof(Message) + 63) / 64 * 64;
};

// The worker's side: one expert, called as the messages say.
class Service {
 public:
  explicit Service(SharedMemory& memory) : memory_(memory) {}

  void answer() {
    Message& message = memory_.message();
    moec_error error = empty_error();
    message.status = run(message, &error);
    std::memcpy(message.error, error.message, sizeof(message.error));
  }

 private:
  moec_status run(const Message& m, moec_error* error) {
    std::vector<Floats> tensors;
    std::vector<moec_tensor> raw;
    for (int64_t i = 0; i < m.tensor_count; ++i) {
      const WireTensor& wire = m.tensors[i];
      tensors.emplace_back(std::vector<int64_t>(wire.shape, wire.shape + wire.ndim),
                           reinterpret_cast<float*>(memory_.at(wire.offset)));
      raw.push_back(*tensors.back().view());
    }
    const moec_exec exec = one_thread();
    switch (m.op) {
      case Op::create_adapter: {
        library_ = std::make_unique<LoadedLibrary>(MOECOLLAB_ADAPTER);
        ExpertSpec spec;
        spec.inputs = MOEC_INPUT_POOLED;
        spec.pooling = MOEC_POOLING_MEAN;
        spec.layers = {6};
        spec.hidden = m.hidden;
        spec.classes = m.classes;
        return create(*library_, spec, &expert_, error);
      }
      case Op::create_lexical: {
        library_ = std::make_unique<LoadedLibrary>(MOECOLLAB_LEXICAL);
        ExpertSpec spec;
        spec.classes = m.classes;
        return create(*library_, spec, &expert_, error);
      }
      case Op::bind:
        return params()->bind(expert_, raw.data(), raw.data() + raw.size() / 2, error);
      case Op::init:
        return params()->init(expert_, m.number, error);
      case Op::params_changed:
        return params()->params_changed(expert_, error);
      case Op::forward: {
        const Batch batch = m.texts > 0 ? texts(m) : Batch(tensors[1]);
        return (*library_)->forward(expert_, &exec, batch.get(), &raw[0], error);
      }
      case Op::forward_train:
        inputs_.push_back(std::move(tensors[1]));
        batches_.push_back(std::make_unique<Batch>(inputs_.back()));
        return train()->forward_train(expert_, &exec, batches_.back()->get(), &raw[0],
                                      &saved_.emplace_back(), error);
      case Op::vjp: {
        const moec_tensor* gx = &raw[1];
        return train()->vjp(expert_, &exec, saved_.at(m.number), &raw[0], 1, &gx, error);
      }
      case Op::release_saved:
        train()->release_saved(expert_, std::exchange(saved_.at(m.number), nullptr));
        return MOEC_OK;
      case Op::read_state:
        return state()->read(expert_, m.number, &raw[0], error);
      case Op::write_state:
        return state()->write(expert_, m.number, &raw[0], error);
      case Op::die:
        _exit(3);
    }
    return MOEC_INTERNAL;
  }

  Batch texts(const Message& m) {
    std::vector<std::string> texts;
    for (int64_t i = 0, start = m.text_offset; i < m.texts; start += m.text_sizes[i++]) {
      texts.emplace_back(memory_.at(start), static_cast<size_t>(m.text_sizes[i]));
    }
    return Batch(std::move(texts));
  }
  const moec_ext_params* params() { return library_->extension<moec_ext_params>(MOEC_EXT_PARAMS); }
  const moec_ext_train* train() { return library_->extension<moec_ext_train>(MOEC_EXT_TRAIN); }
  const moec_ext_state* state() { return library_->extension<moec_ext_state>(MOEC_EXT_STATE); }

  SharedMemory& memory_;
  std::unique_ptr<LoadedLibrary> library_;
  moec_expert* expert_ = nullptr;
  std::vector<moec_saved*> saved_;
  std::deque<Floats> inputs_;
  std::vector<std::unique_ptr<Batch>> batches_;
};

// The host's side. Forks when made, which must be before any thread starts.
class Worker {
 public:
  Worker() {
    if (pipe(calls_) != 0 || pipe(answers_) != 0) throw std::runtime_error("no pipe");
    child_ = fork();
    if (child_ == 0) serve();
    close(calls_[0]);
    close(answers_[1]);
  }
  ~Worker() {
    close(calls_[1]);  // the worker reads the end of its calls and leaves
    close(answers_[0]);
    waitpid(child_, nullptr, 0);
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  SharedMemory memory;

  void call(Op op, const std::vector<const Floats*>& tensors = {}, uint64_t number = 0,
            const std::vector<std::string>& texts = {}) {
    Message& m = memory.message();
    m.op = op;
    m.classes = 3;
    m.hidden = 8;
    m.number = number;
    m.tensor_count = 0;
    for (const Floats* tensor : tensors) {
      WireTensor& wire = m.tensors[m.tensor_count++];
      wire = {memory.offset(tensor->data()), static_cast<int64_t>(tensor->shape().size()), {}};
      std::copy(tensor->shape().begin(), tensor->shape().end(), wire.shape);
    }
    send_texts(texts);
    char byte = 0;
    if (write(calls_[1], &byte, 1) != 1 || read(answers_[0], &byte, 1) != 1) {
      throw std::runtime_error("the worker is gone");
    }
    if (m.status != MOEC_OK) throw std::runtime_error(m.error);
  }

 private:
  void send_texts(const std::vector<std::string>& texts) {
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

  [[noreturn]] void serve() {
    close(calls_[1]);
    close(answers_[0]);
    Service service(memory);
    char byte = 0;
    while (read(calls_[0], &byte, 1) == 1) {
      service.answer();
      if (write(answers_[1], &byte, 1) != 1) break;
    }
    _exit(0);
  }

  int calls_[2], answers_[2];
  pid_t child_;
};

}  // namespace moecollab::plugin_test
