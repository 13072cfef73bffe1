// Expert libraries as a host sees them: dlopen and the C ABI, nothing of the SDK's C++ side.
#pragma once

#include <dlfcn.h>
#include <moecollab/ext/draft/explain.h>
#include <moecollab/ext/fit.h>
#include <moecollab/ext/params.h>
#include <moecollab/ext/state.h>
#include <moecollab/ext/train.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace moecollab::plugin_test {

// A library, mapped until the process ends.
class LoadedLibrary {
 public:
  explicit LoadedLibrary(const std::string& path) {
    void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) throw std::runtime_error(dlerror());
    entry = reinterpret_cast<const moec_library* (*)()>(dlsym(handle, "moec_plugin_entry"));
    if (entry == nullptr) throw std::runtime_error(dlerror());
    table_ = entry();
  }
  const moec_library* operator->() const { return table_; }
  template <typename Extension>
  const Extension* extension(const char* id) const {
    return static_cast<const Extension*>(table_->get_extension(id));
  }

  const moec_library* (*entry)() = nullptr;

 private:
  const moec_library* table_;
};

template <typename T>
constexpr uint8_t kTypeCode = std::is_floating_point_v<T> ? MOEC_FLOAT : MOEC_INT;

// A float32 or int32 tensor, 64-byte aligned, of its own storage or of someone else's.
template <typename T>
class Tensor {
 public:
  explicit Tensor(std::vector<int64_t> shape, T* storage = nullptr)
      : shape_(std::move(shape)), strides_(shape_.size(), 1) {
    for (size_t i = shape_.size(); i-- > 1;) strides_[i - 1] = strides_[i] * shape_[i];
    size_ = static_cast<size_t>(
        std::accumulate(shape_.begin(), shape_.end(), int64_t{1}, std::multiplies<>()));
    if (storage == nullptr) {
      owned_.reset(static_cast<T*>(std::aligned_alloc(64, (size_ * sizeof(T) + 63) / 64 * 64)));
      storage = owned_.get();
      std::fill_n(storage, size_, T{});
    }
    view_ = {storage,         MOEC_CPU, 0, static_cast<int32_t>(shape_.size()),
             kTypeCode<T>,    32,       1, shape_.data(),
             strides_.data(), 0};
  }
  Tensor(std::vector<int64_t> shape, const std::vector<T>& values) : Tensor(std::move(shape)) {
    if (values.size() != size_) throw std::logic_error("values do not fill the shape");
    std::copy(values.begin(), values.end(), data());
  }
  Tensor(Tensor&&) noexcept = default;
  Tensor& operator=(Tensor&&) noexcept = default;

  T* data() const { return static_cast<T*>(view_.data); }
  size_t size() const { return size_; }
  T& operator[](size_t i) const { return data()[i]; }
  std::vector<T> values() const { return {data(), data() + size_}; }
  const std::vector<int64_t>& shape() const { return shape_; }
  const moec_tensor* view() const { return &view_; }

 private:
  struct Free {
    void operator()(T* storage) const { std::free(storage); }
  };
  std::vector<int64_t> shape_, strides_;
  size_t size_ = 0;
  std::unique_ptr<T, Free> owned_;
  moec_tensor view_{};
};
using Floats = Tensor<float>;
using Ints = Tensor<int32_t>;

// What create() is given.
struct ExpertSpec {
  int32_t classes = 2;
  uint32_t inputs = MOEC_INPUT_TEXT;
  int32_t pooling = MOEC_POOLING_NONE;
  std::vector<int32_t> layers;
  int32_t hidden = 0;  // of the encoder; 0: none is given
  std::string config = "{}";
  std::map<std::string, Floats> weights;
  const moec_host* host = nullptr;
};

inline moec_string as_string(const std::string& text) { return {text.data(), text.size()}; }

inline moec_error empty_error() {
  moec_error error{};
  error.struct_size = sizeof(error);
  return error;
}

inline moec_status create(const LoadedLibrary& library, const ExpertSpec& spec,
                          moec_expert** expert, moec_error* error) {
  moec_encoder_info encoder{};
  encoder.struct_size = sizeof(encoder);
  encoder.hidden = spec.hidden;
  std::vector<moec_string> names;
  std::vector<moec_tensor> weights;
  for (const auto& [name, weight] : spec.weights) {
    names.push_back(as_string(name));
    weights.push_back(*weight.view());
  }
  moec_create_info info{};
  info.struct_size = sizeof(info);
  info.classes = spec.classes;
  info.inputs = spec.inputs;
  info.pooling = spec.pooling;
  info.layer_count = spec.layers.size();
  info.layers = spec.layers.data();
  info.encoder = spec.hidden > 0 ? &encoder : nullptr;
  info.config = as_string(spec.config);
  info.weight_count = weights.size();
  info.weight_names = names.data();
  info.weights = weights.data();
  return library->create(spec.host, &info, expert, error);
}

// Some texts, or their pooled features [n, H] of one or several layers, as a batch.
class Batch {
 public:
  explicit Batch(std::vector<std::string> texts, int64_t first_id = 0)
      : Batch(static_cast<int64_t>(texts.size()), first_id) {
    texts_ = std::move(texts);
    for (const std::string& text : texts_) strings_.push_back(as_string(text));
    batch_.texts = strings_.data();
  }
  explicit Batch(const Floats& pooled) : Batch(pooled.shape().front(), 0) { add_layer(pooled); }
  Batch(const Floats& pooled, const Floats& next_layer) : Batch(pooled) { add_layer(next_layer); }
  Batch(Batch&&) noexcept = default;

  int64_t rows() const { return batch_.rows; }
  std::vector<int64_t>& ids() { return ids_; }
  moec_batch* get() { return &batch_; }
  const moec_batch* get() const { return &batch_; }

 private:
  Batch(int64_t rows, int64_t first_id) : ids_(static_cast<size_t>(rows)) {
    std::iota(ids_.begin(), ids_.end(), first_id);
    batch_.struct_size = sizeof(batch_);
    batch_.rows = rows;
    batch_.row_ids = ids_.data();
  }
  void add_layer(const Floats& pooled) {
    pooled_.push_back(pooled.view());
    batch_.layer_count = pooled_.size();
    batch_.pooled = pooled_.data();
  }
  std::vector<int64_t> ids_;
  std::vector<std::string> texts_;
  std::vector<moec_string> strings_;
  std::vector<const moec_tensor*> pooled_;
  moec_batch batch_{};
};

inline moec_exec one_thread() {
  moec_exec exec{};
  exec.struct_size = sizeof(exec);
  exec.device_type = MOEC_CPU;
  exec.threads = 1;
  return exec;
}

// An expert; what it refuses becomes std::runtime_error with its message.
class LoadedExpert {
 public:
  LoadedExpert(const LoadedLibrary& library, const ExpertSpec& spec)
      : library_(library), classes_(spec.classes) {
    check([&](moec_error* error) { return create(library, spec, &expert_, error); });
  }
  LoadedExpert(LoadedExpert&& other) noexcept
      : library_(other.library_),
        classes_(other.classes_),
        expert_(std::exchange(other.expert_, nullptr)) {}
  ~LoadedExpert() { library_->destroy(expert_); }

  moec_expert* get() const { return expert_; }

  // Runs call(&error) and throws its message if it fails.
  static void check(const std::function<moec_status(moec_error*)>& call) {
    moec_error error = empty_error();
    const moec_status status = call(&error);
    if (status == MOEC_OK) return;
    if (error.code != status) throw std::logic_error("the error's code is not the status");
    throw std::runtime_error(error.message);
  }

  // [n × classes], row after row.
  std::vector<float> forward(const Batch& batch) const {
    const moec_exec exec = one_thread();
    Floats logits({batch.rows(), classes_});
    std::fill_n(logits.data(), logits.size(), std::numeric_limits<float>::signaling_NaN());
    check([&](moec_error* error) {
      return library_->forward(expert_, &exec, batch.get(), logits.view(), error);
    });
    return logits.values();
  }

  // moecollab.draft.explain/1, of a batch of one row.
  std::vector<moec_evidence> explain(const Batch& row, int32_t label, int64_t most) const {
    const auto* extension =
        static_cast<const moec_ext_explain*>(library_->get_extension(MOEC_EXT_EXPLAIN));
    if (extension == nullptr) throw std::runtime_error("it does not explain");
    const moec_exec exec = one_thread();
    std::vector<moec_evidence> found(static_cast<size_t>(most));
    int64_t count = -1;
    check([&](moec_error* error) {
      return extension->explain(expert_, &exec, row.get(), label, most, found.data(), &count,
                                error);
    });
    found.resize(static_cast<size_t>(count));
    return found;
  }

  // moecollab.fit/1
  void fit_begin(uint64_t seed, int32_t epochs = 10) const {
    const moec_exec exec = one_thread();
    check([&](moec_error* e) { return fit()->fit_begin(expert_, &exec, 0, epochs, seed, e); });
  }
  void fit_batch(const Batch& batch, const std::vector<int32_t>& labels,
                 const std::vector<float>& weights) const {
    const moec_exec exec = one_thread();
    const Ints y({static_cast<int64_t>(labels.size())}, labels);
    const Floats w({static_cast<int64_t>(weights.size())}, weights);
    check([&](moec_error* error) {
      return fit()->fit_batch(expert_, &exec, batch.get(), y.view(), w.view(), error);
    });
  }
  bool fit_epoch_end() const {
    const moec_exec exec = one_thread();
    int32_t more = -1;
    check([&](moec_error* e) { return fit()->fit_epoch_end(expert_, &exec, &more, e); });
    return more == 1;
  }
  void fit_end() const {
    check([&](moec_error* error) { return fit()->fit_end(expert_, error); });
  }
  void fit(const Batch& batch, const std::vector<int32_t>& labels, std::vector<float> weights = {},
           int epochs = 10, uint64_t seed = 1) const {
    weights.resize(labels.size(), 1.0F);
    fit_begin(seed, epochs);
    for (int epoch = 0; epoch < epochs; ++epoch) {
      fit_batch(batch, labels, weights);
      if (!fit_epoch_end()) break;
    }
    fit_end();
  }

  // moecollab.state/1: all tensors by name.
  std::map<std::string, Floats> read_state() const {
    const auto* state = library_.extension<moec_ext_state>(MOEC_EXT_STATE);
    std::map<std::string, Floats> tensors;
    for (uint64_t i = 0; i < state->count(expert_); ++i) {
      moec_state_info info{};
      info.struct_size = sizeof(info);
      check([&](moec_error* error) { return state->describe(expert_, i, &info, error); });
      Floats tensor(std::vector<int64_t>(info.shape, info.shape + info.ndim));
      check([&](moec_error* error) { return state->read(expert_, i, tensor.view(), error); });
      tensors.emplace(std::string(info.name.data, info.name.size), std::move(tensor));
    }
    return tensors;
  }

 private:
  const moec_ext_fit* fit() const { return library_.extension<moec_ext_fit>(MOEC_EXT_FIT); }

  LoadedLibrary library_;
  int32_t classes_;
  moec_expert* expert_ = nullptr;
};

// Storage for the parameters of an expert, bound to it.
class BoundParameters {
 public:
  BoundParameters(const LoadedLibrary& library, const LoadedExpert& expert)
      : params_(library.extension<moec_ext_params>(MOEC_EXT_PARAMS)), expert_(expert.get()) {
    for (uint64_t i = 0; i < params_->count(expert_); ++i) {
      moec_param_info info{};
      info.struct_size = sizeof(info);
      LoadedExpert::check([&](moec_error* e) { return params_->describe(expert_, i, &info, e); });
      const std::vector<int64_t> shape(info.shape, info.shape + info.ndim);
      names.emplace_back(info.name.data, info.name.size);
      decay.push_back(info.decay == 1);
      values.emplace_back(shape);
      grads.emplace_back(shape);
    }
    std::vector<moec_tensor> value_views, grad_views;
    for (const Floats& value : values) value_views.push_back(*value.view());
    for (const Floats& grad : grads) grad_views.push_back(*grad.view());
    LoadedExpert::check([&](moec_error* error) {
      return params_->bind(expert_, value_views.data(), grad_views.data(), error);
    });
  }
  void init(uint64_t seed) const {
    LoadedExpert::check([&](moec_error* error) { return params_->init(expert_, seed, error); });
    changed();
  }
  void changed() const {
    LoadedExpert::check([&](moec_error* error) { return params_->params_changed(expert_, error); });
  }
  void zero_grads() const {
    for (const Floats& grad : grads) std::fill_n(grad.data(), grad.size(), 0.0F);
  }

  std::vector<std::string> names;
  std::vector<bool> decay;
  std::vector<Floats> values, grads;

 private:
  const moec_ext_params* params_;
  moec_expert* expert_;
};

}  // namespace moecollab::plugin_test
