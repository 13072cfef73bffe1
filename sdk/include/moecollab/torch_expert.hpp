// Writing an expert with LibTorch (C++20). find_package(MoECollabSDK COMPONENTS Torch), and
// moecollab_add_expert(name … TORCH) link it; the host's copy of LibTorch is the one that runs.
//
//   class Bilinear final : public moecollab::TorchExpert {
//    public:
//     explicit Bilinear(const moecollab::CreateInfo& info)
//         : TorchExpert(info), out_(add_parameter("out.weight", {info.classes(), 384},
//         normal(0.02))) {}
//     at::Tensor forward(const moecollab::TorchBatch& in) override { return
//     at::linear(in.pooled[0], out_); }
//    private:
//     const at::Tensor& out_;
//   };
//   MOECOLLAB_LIBRARY(Bilinear, "com.example.bilinear", "1.0.0", moecollab::Input::pooled_mean);
//
// forward() is all: training (moecollab.params/1 and train/1) follows from its autograd graph,
// which stays private to the library, and parameters live in the storage that the host binds.
#ifndef MOECOLLAB_TORCH_EXPERT_HPP_
#define MOECOLLAB_TORCH_EXPERT_HPP_

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <deque>
#include <functional>
#include <memory>
#include <moecollab/expert.hpp>
#include <new>
#include <optional>

namespace moecollab {

// A batch as tensors: views of the host's memory or, for an expert that runs on any device, of that
// of the call's device. Valid in forward() and, in training, until the gradient was taken.
// What was not asked for is empty.
struct TorchBatch {
  int64_t rows = 0;
  at::Tensor row_offsets;  // [n + 1] int32: row r owns tokens row_offsets[r] to row_offsets[r + 1]
  at::Tensor token_ids;    // [T] int32
  std::vector<at::Tensor> hidden;   // per layer asked for: [T, H] float32
  std::vector<at::Tensor> pooled;   // per layer asked for: [n, H] float32
  bool training = false;            // dropout and the like are on
  at::Generator generator;          // for all randomness of this call; defined in training only
  const moec_batch* raw = nullptr;  // texts, row ids and offsets are in the host's memory
};

// The device of that type and number at the boundary.
inline at::Device device_at(int32_t type, int32_t id) {
  const auto index = static_cast<c10::DeviceIndex>(id);
  if (type == MOEC_CUDA) return {at::kCUDA, index};
  if (type == MOEC_EXT_DEV) return {at::kPrivateUse1, index};
  return at::kCPU;
}

namespace detail {

inline at::Tensor over(void* data, at::IntArrayRef shape, at::ScalarType type, at::Device device) {
  return at::for_blob(data, shape)
      .options(at::TensorOptions(type).device(device))
      .target_device(device)
      .make_tensor();
}

}  // namespace detail

// A writable or read-only tensor over memory of the other side of the boundary.
inline at::Tensor tensor_over(const moec_tensor& t) {
  return detail::over(t.data, at::IntArrayRef(t.shape, static_cast<size_t>(t.ndim)),
                      t.type_code == MOEC_FLOAT ? at::kFloat : at::kInt,
                      device_at(t.device_type, t.device_id));
}

// The device that a call names.
inline at::Device device_of(const moec_exec* exec) {
  return exec == nullptr ? at::Device(at::kCPU) : device_at(exec->device_type, exec->device_id);
}

// A generator of that device. Numbers differ between kinds of devices.
inline at::Generator generator_of(at::Device device, uint64_t seed) {
  if (device.is_cpu()) return at::detail::createCPUGenerator(seed);
  at::Generator generator = at::globalContext()
                                .getAcceleratorHooksInterface(device.type())
                                .getNewGenerator(device.index());
  generator.set_current_seed(seed);
  return generator;
}

// How a parameter starts if there are no weights.
using Initial = std::function<at::Tensor(at::IntArrayRef shape, at::Generator generator)>;
// Draws of mean 0 and that standard deviation.
inline Initial normal(double std) {
  return [std](at::IntArrayRef shape, at::Generator g) {
    return at::normal(0.0, std, shape, std::move(g));
  };
}
// One value throughout.
inline Initial constant(double value) {
  return [value](at::IntArrayRef shape, const at::Generator&) { return at::full(shape, value); };
}
// The values of a tensor of the parameter's shape, which lives as long as the expert.
inline Initial copy_of(at::Tensor tensor) {
  return [tensor = std::move(tensor)](at::IntArrayRef, const at::Generator&) { return tensor; };
}

// How the host's optimiser treats a parameter.
struct ParameterTraits {
  bool trainable = true;
  float lr_scale = 1.0F;      // times the host's learning rate
  std::optional<bool> decay;  // none: matrices decay, vectors do not
};

namespace detail {

// What LibTorch says, without the backtrace that it adds.
template <typename Body>
auto plainly(Body&& body) {
  try {
    return body();
  } catch (const c10::OutOfMemoryError&) {
    throw std::bad_alloc();
  } catch (const c10::Error& error) {
    throw std::runtime_error(error.what_without_backtrace());
  }
}

}  // namespace detail

// An expert that is a function of tensors. Derive, declare parameters in the constructor, write
// forward(). Values and gradients lie where the host says; bind() moves them there, which is why a
// parameter is held by reference. c10::Error from forward() is INTERNAL, or OUT_OF_MEMORY.
class TorchExpert : public ExpertBase, public Trainable {
 public:
  // `info` is used by add_parameter(), so until the constructor of the derived class ends.
  explicit TorchExpert(const CreateInfo& info) : info_(&info), classes_(info.classes()) {}

  // Logits [n, classes] float32; row r depends on row r alone (but for dropout). Differentiable in
  // the parameters and in the float inputs.
  virtual at::Tensor forward(const TorchBatch& in) = 0;

  // Whether forward() computes wherever its tensors are: then parameters and TorchBatch are on the
  // device that the host computes on, else always on the CPU. The same from the constructor on.
  virtual bool runs_on_any_device() const { return false; }
  // Parameters were moved to that device: move what else forward() reads.
  virtual void moved_to(at::Device) {}

  // --- What follows from it
  // forward() without a graph, TorchBatch::training false.
  void infer(const Batch& in, Logits& out, const moec_exec* exec) {
    const at::NoGradGuard no_grad;
    go_to(exec);
    write(detail::plainly([&] { return forward(batch(in, nullptr)); }), out);
  }
  const std::vector<ParameterSpec>& parameters() const final { return specs_; }
  // What bind() gives next is there.
  void bind_on(int32_t device_type, int32_t device_id) {
    storage_ = device_at(device_type, device_id);
  }
  void bind(const std::vector<float*>& values, const std::vector<float*>& grads) final {
    bound_.clear();
    for (size_t i = 0; i < specs_.size(); ++i) {
      bound_.push_back(detail::over(values[i], specs_[i].shape, at::kFloat, storage_)
                           .requires_grad_(specs_[i].trainable));
      grads_[i] = detail::over(grads[i], specs_[i].shape, at::kFloat, storage_);
    }
    if (device_ != storage_) moved_to(storage_);
    device_ = storage_;
    place_values(device_);
  }
  void before_params_changed() final {
    if (device_ != storage_) place_values(device_);
  }
  void init(uint64_t seed) final {
    const at::NoGradGuard no_grad;
    at::Generator generator = at::detail::createCPUGenerator(seed);
    for (size_t i = 0; i < specs_.size(); ++i)
      values_[i].copy_(initials_[i](specs_[i].shape, generator));
  }
  std::unique_ptr<Saved> forward_train(const Batch& in, Logits& out, const moec_exec& exec) final {
    const at::AutoGradMode grad(true);
    go_to(&exec);
    auto graph = std::make_unique<Graph>();
    TorchBatch inputs = batch(in, &exec);
    for (std::vector<at::Tensor>* floats : {&inputs.hidden, &inputs.pooled}) {
      for (at::Tensor& t : *floats) graph->inputs.push_back(t.requires_grad_(true));
    }
    graph->logits = detail::plainly([&] { return forward(inputs); });
    write(graph->logits.detach(), out);
    return graph;
  }
  void vjp(Saved& saved, const Matrix<const float>& gy, const std::vector<float*>& gx) final {
    Graph& graph = static_cast<Graph&>(saved);
    if (!graph.logits.defined())
      throw std::invalid_argument("vjp() a second time for one forward pass");
    std::vector<at::Tensor> wanted;
    std::vector<at::Tensor> destinations;
    for (size_t i = 0; i < values_.size(); ++i) {
      if (!values_[i].requires_grad()) continue;
      wanted.push_back(values_[i]);
      destinations.push_back(grads_[i]);
    }
    const size_t parameters = wanted.size();
    for (size_t i = 0; i < gx.size() && i < graph.inputs.size(); ++i) {
      if (gx[i] == nullptr) continue;
      wanted.push_back(graph.inputs[i]);
      destinations.push_back(at::from_blob(gx[i], graph.inputs[i].sizes(), at::kFloat));
    }
    const at::Tensor seed =
        at::from_blob(const_cast<float*>(gy.row(0).data()), {gy.rows(), gy.columns()}, at::kFloat)
            .to(device_);
    const std::vector<at::Tensor> found = detail::plainly([&] {
      return torch::autograd::grad({graph.logits}, wanted, {seed}, /*retain_graph=*/false,
                                   /*create_graph=*/false, /*allow_unused=*/true);
    });
    for (size_t i = 0; i < found.size(); ++i) {
      if (i >= parameters) destinations[i].zero_();
      if (found[i].defined()) destinations[i].add_(found[i].to(destinations[i].device()));
    }
    graph.logits = at::Tensor();
  }

 protected:
  // Declares a parameter, in the constructor only; the reference gives its value in every
  // forward(). It is the weight of that name (std::invalid_argument if the package has weights
  // but not this one), or else what `initial` gives.
  const at::Tensor& add_parameter(const std::string& name, const std::vector<int64_t>& shape,
                                  Initial initial, ParameterTraits traits = {}) {
    for (const ParameterSpec& other : specs_) {
      if (other.name == name)
        throw std::invalid_argument("parameter " + name + " is declared twice");
    }
    ParameterSpec spec;
    spec.name = name;
    spec.shape = shape;
    spec.trainable = traits.trainable;
    spec.decay = traits.decay.value_or(shape.size() > 1);
    spec.lr_scale = traits.lr_scale;
    at::Tensor value = at::zeros(shape);
    if (info_->has_weights()) {
      const View<const float> weight = info_->weights(name, shape);
      std::copy(weight.begin(), weight.end(), value.mutable_data_ptr<float>());
    }
    specs_.push_back(std::move(spec));
    initials_.push_back(std::move(initial));
    grads_.emplace_back();
    return values_.emplace_back(std::move(value));
  }
  int32_t classes() const { return classes_; }

 private:
  struct Graph final : Saved {
    at::Tensor logits;
    std::vector<at::Tensor> inputs;
  };

  void go_to(const moec_exec* exec) {
    const at::Device wanted = runs_on_any_device() ? device_of(exec) : at::Device(at::kCPU);
    if (wanted == device_) return;
    place_values(wanted);
    moved_to(wanted);
    device_ = wanted;  // last: a call that lacked memory is tried again from the beginning
  }
  // Values on the device of the calls: what is bound, or what the package had, or copies.
  void place_values(at::Device device) {
    const at::NoGradGuard no_grad;
    for (size_t i = 0; i < values_.size(); ++i) {
      const at::Tensor& from = bound_.empty() ? values_[i] : bound_[i];
      const bool learns = from.requires_grad();
      values_[i] = device == storage_ && !bound_.empty()
                       ? from
                       : from.detach().to(device).requires_grad_(learns);
    }
  }

  TorchBatch batch(const Batch& in, const moec_exec* exec) const {
    const moec_batch& raw = in.raw();
    TorchBatch out;
    out.raw = &raw;
    out.rows = raw.rows;
    if (raw.row_offsets != nullptr) {
      out.row_offsets =
          at::from_blob(const_cast<int32_t*>(raw.row_offsets), {raw.rows + 1}, at::kInt)
              .to(device_);
    }
    const auto placed = [&](const moec_tensor& t) { return tensor_over(t).to(device_); };
    if (raw.token_ids != nullptr) out.token_ids = placed(*raw.token_ids);
    for (uint64_t i = 0; i < raw.layer_count; ++i) {
      if (raw.hidden != nullptr) out.hidden.push_back(placed(*raw.hidden[i]));
      if (raw.pooled != nullptr) out.pooled.push_back(placed(*raw.pooled[i]));
    }
    out.training = exec != nullptr && exec->training != 0;
    if (out.training) out.generator = generator_of(device_, exec->seed);
    return out;
  }

  static void write(const at::Tensor& logits, Logits& out) {
    if (logits.dim() != 2 || logits.size(0) != out.rows() || logits.size(1) != out.columns()) {
      const std::vector<int64_t> expected = {out.rows(), out.columns()};
      throw std::runtime_error("forward() gave " +
                               shape_text(logits.sizes().data(), logits.sizes().size()) +
                               ", expected " + shape_text(expected.data(), expected.size()));
    }
    if (out.rows() > 0)
      at::from_blob(out.row(0).data(), {out.rows(), out.columns()}, at::kFloat).copy_(logits);
  }

  const CreateInfo* info_;  // valid in the constructor only
  int32_t classes_;
  std::vector<ParameterSpec> specs_;
  std::vector<Initial> initials_;
  std::deque<at::Tensor> values_;          // addresses stay
  std::vector<at::Tensor> bound_, grads_;  // the host's storage; empty until bind()
  at::Device storage_ = at::kCPU;          // where that is
  at::Device device_ = at::kCPU;           // of the last call
};

}  // namespace moecollab

#endif  // MOECOLLAB_TORCH_EXPERT_HPP_
