// The throw-away worker's process: one expert, called as the messages say. Its arguments are the
// descriptors of a socket and of the shared memory; it ends when the host closes the socket.
#include <deque>

#include "plugin/worker/protocol.h"

namespace moecollab::plugin_test {
namespace {

class Service {
 public:
  explicit Service(SharedMemory& memory) : memory_(memory) {}
  ~Service() {
    for (moec_saved* saved : saved_) {
      if (saved != nullptr) train()->release_saved(expert_, saved);
    }
    if (library_) (*library_)->destroy(expert_);
  }
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  void answer() {
    Message& message = memory_.message();
    moec_error error = empty_error();
    try {
      message.status = run(message, &error);
      std::copy(std::begin(error.message), std::end(error.message), message.error);
    } catch (const std::exception& e) {
      message.status = MOEC_INTERNAL;
      copy_text(message.error, e.what());
    }
  }

 private:
  moec_status run(Message& m, moec_error* error) {
    std::vector<Floats> tensors;
    std::vector<moec_tensor> raw;
    for (int64_t i = 0; m.op != Op::create && i < m.tensor_count; ++i) {
      tensors.push_back(tensor(m.tensors[i]));
      raw.push_back(*tensors.back().view());
    }
    moec_exec exec = one_thread();
    switch (m.op) {
      case Op::create:
        return create(m, error);
      case Op::parameter:
        return describe_parameter(m, error);
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
        exec.seed = m.number;
        exec.training = 1;
        m.number = saved_.size();
        inputs_.push_back(std::move(tensors[1]));
        batches_.push_back(std::make_unique<Batch>(inputs_.back()));
        return train()->forward_train(expert_, &exec, batches_.back()->get(), &raw[0],
                                      &saved_.emplace_back(), error);
      case Op::vjp: {
        exec.training = 1;
        const moec_tensor* gx = raw.size() > 1 ? &raw[1] : nullptr;
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

  moec_status create(Message& m, moec_error* error) {
    const Creation& told = m.creation;
    library_ = std::make_unique<LoadedLibrary>(told.library);
    ExpertSpec spec;
    spec.classes = told.classes;
    spec.inputs = told.inputs;
    spec.pooling = told.pooling;
    spec.layers.assign(told.layers, told.layers + told.layer_count);
    spec.hidden = told.hidden;
    spec.config = told.config;
    for (int64_t i = 0; i < m.tensor_count; ++i)
      spec.weights.emplace(m.tensors[i].name, tensor(m.tensors[i]));
    moec_status status = plugin_test::create(*library_, spec, &expert_, error);
    if (status != MOEC_OK) return status;
    moec_requirements needs{};
    needs.struct_size = sizeof(needs);
    status = (*library_)->requirements(expert_, &needs, error);
    m.made = {needs.flops_per_row,
              needs.flops_per_token,
              needs.flops_per_pair,
              params() == nullptr ? 0 : params()->count(expert_),
              state() == nullptr ? 0 : state()->count(expert_),
              params() != nullptr && train() != nullptr};
    return status;
  }

  moec_status describe_parameter(Message& m, moec_error* error) {
    moec_param_info info{};
    info.struct_size = sizeof(info);
    const moec_status status = params()->describe(expert_, m.number, &info, error);
    if (status != MOEC_OK) return status;
    m.role = {info.trainable != 0, info.decay != 0, info.lr_scale};
    m.tensors[0] = {{}, 0, info.ndim, {}};
    copy_text(m.tensors[0].name, std::string(info.name.data, info.name.size));
    std::copy_n(info.shape, info.ndim, m.tensors[0].shape);
    return MOEC_OK;
  }

  Floats tensor(const WireTensor& wire) {
    return Floats(std::vector<int64_t>(wire.shape, wire.shape + wire.ndim),
                  reinterpret_cast<float*>(memory_.at(wire.offset)));
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

}  // namespace
}  // namespace moecollab::plugin_test

int main(int, char** arguments) {
  const int socket = std::atoi(arguments[1]);
  moecollab::plugin_test::SharedMemory memory(std::atoi(arguments[2]));
  moecollab::plugin_test::Service service(memory);
  char byte = 0;
  while (read(socket, &byte, 1) == 1) {
    service.answer();
    if (write(socket, &byte, 1) != 1) break;
  }
}
