// The C ABI of a C++ expert: tables of functions that catch everything. Included by expert.hpp.
#ifndef MOECOLLAB_DETAIL_SHIM_HPP_
#define MOECOLLAB_DETAIL_SHIM_HPP_

#include <cstring>
#include <moecollab/detail/checks.hpp>
#include <moecollab/expert.hpp>
#include <new>
#include <type_traits>

namespace moecollab {
namespace detail {

inline moec_status fail(moec_error* error, moec_status code, const char* message) noexcept {
  if (error != nullptr && MOEC_HAS(error, moec_error, message)) {
    error->code = code;
    std::strncpy(error->message, message, sizeof(error->message) - 1);
    error->message[sizeof(error->message) - 1] = '\0';
  }
  return code;
}

// Runs `body`; no exception leaves the library.
template <typename Body>
moec_status guarded(moec_error* error, Body&& body) noexcept {
  try {
    body();
    return MOEC_OK;
  } catch (const std::invalid_argument& e) {
    return fail(error, MOEC_INVALID_ARGUMENT, e.what());
  } catch (const Unsupported& e) {
    return fail(error, MOEC_UNSUPPORTED, e.what());
  } catch (const Cancelled& e) {
    return fail(error, MOEC_CANCELLED, e.what());
  } catch (const std::bad_alloc&) {
    return fail(error, MOEC_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& e) {
    return fail(error, MOEC_INTERNAL, e.what());
  } catch (...) {
    return fail(error, MOEC_INTERNAL, "an exception that is no std::exception");
  }
}

// Whether experts of that class can say that they take tensors of other devices than the CPU
// (TorchExpert, whose header this one does not need).
template <typename T>
auto names_devices(int) -> decltype(std::declval<T&>().runs_on_any_device(), std::true_type{});
template <typename T>
std::false_type names_devices(...);

template <typename T>
class Library {
 public:
  static const moec_library* table(const char* id, const char* version, Input inputs) {
    static const moec_library_info info = {sizeof(moec_library_info),
                                           to_string(id),
                                           to_string(version),
                                           to_string(MOEC_SDK_VERSION),
                                           0,
                                           nullptr};
    static const moec_library library = {sizeof(moec_library),
                                         MOEC_ABI_MAJOR,
                                         MOEC_ABI_MINOR,
                                         MOEC_MIN_HOST_MINOR,
                                         &describe,
                                         &get_extension,
                                         &create,
                                         &requirements,
                                         &forward,
                                         &destroy};
    static const bool written_once = (info_ = &info, inputs_ = inputs, true);
    return written_once ? &library : nullptr;
  }

 private:
  // An expert with the copies that requirements() points into.
  struct Object {
    std::unique_ptr<T> expert;
    Contract contract;
    int32_t pooling;
  };
  static Object& object(moec_expert* e) { return *reinterpret_cast<Object*>(e); }
  static T& self(moec_expert* e) { return *object(e).expert; }

  static const moec_library_info* describe() { return info_; }

  static moec_status create(const moec_host* host, const moec_create_info* info, moec_expert** out,
                            moec_error* error) {
    return guarded(error, [&] {
      require(info != nullptr && out != nullptr, "create() needs info and a place for the expert");
      *out = nullptr;
      check_create_info(*info);
      const CreateInfo view(host, *info);
      check_inputs(view);
      auto made = std::make_unique<Object>();
      made->contract = contract_of(*info);
      made->pooling = view.pooling();
      made->expert = std::make_unique<T>(view);
      const std::vector<int32_t> layers = made->expert->layers();
      if (!layers.empty()) made->contract.layers = layers;
      if (takes_device(*made->expert)) made->contract.place = Place::any_device;
      *out = reinterpret_cast<moec_expert*>(made.release());
    });
  }

  static constexpr bool kNamesDevices = decltype(names_devices<T>(0))::value;
  static bool takes_device(const T& expert) {
    if constexpr (kNamesDevices) return expert.runs_on_any_device();
    static_cast<void>(expert);
    return false;
  }

  // The manifest must ask for what was compiled in.
  static void check_inputs(const CreateInfo& info) {
    const uint32_t needs = static_cast<uint32_t>(inputs_) & 0xFF;
    const int32_t pooling = static_cast<int32_t>(static_cast<uint32_t>(inputs_) >> 8);
    if (info.raw().inputs != needs || (pooling != 0 && info.pooling() != pooling)) {
      throw std::invalid_argument("the library reads inputs " + std::to_string(needs) +
                                  " with pooling " + std::to_string(pooling) +
                                  ", the manifest says " + std::to_string(info.raw().inputs) +
                                  " and " + std::to_string(info.pooling()) + " (bits of abi.h)");
    }
  }

  static moec_status requirements(moec_expert* e, moec_requirements* out, moec_error* error) {
    return guarded(error, [&] {
      require(e != nullptr && out != nullptr, "requirements() needs an expert and a place");
      const Object& o = object(e);
      moec_requirements r{};
      r.struct_size = out->struct_size;
      r.classes = o.contract.classes;
      r.inputs = o.contract.inputs;
      r.pooling = o.pooling;
      r.layout = MOEC_LAYOUT_RAGGED;
      r.max_batch = o.expert->max_batch();
      r.layer_count = o.contract.layers.size();
      r.layers = o.contract.layers.data();
      const ExpertBase::Flops flops = o.expert->flops();
      r.flops_per_row = flops.row;
      r.flops_per_token = flops.token;
      r.flops_per_pair = flops.pair;
      std::memcpy(out, &r, out->struct_size < sizeof(r) ? out->struct_size : sizeof(r));
    });
  }

  static moec_status forward(moec_expert* e, const moec_exec* exec, const moec_batch* batch,
                             const moec_tensor* logits, moec_error* error) {
    return guarded(error, [&] {
      check_call(e, batch, logits);
      Logits out(*logits);
      if constexpr (std::is_base_of_v<Expert, T>) {
        static_cast<void>(exec);
        self(e).forward(Batch(*batch), out);
      } else {
        self(e).infer(Batch(*batch), out,
                      exec);  // TorchExpert, whose forward() has other arguments
      }
    });
  }

  static void check_call(moec_expert* e, const moec_batch* batch, const moec_tensor* logits) {
    require(e != nullptr, "the expert is null");
    check_batch(object(e).contract, batch);
    check_tensor(logits, MOEC_FLOAT, {batch->rows, object(e).contract.classes}, "logits");
  }

  static void destroy(moec_expert* e) {
    guarded(nullptr, [&] { delete reinterpret_cast<Object*>(e); });
  }

  static const void* get_extension(const char* id) {
    if (id == nullptr) return nullptr;
    if constexpr (std::is_base_of_v<Trainable, T>) {
      if (std::strcmp(id, MOEC_EXT_PARAMS) == 0) return &kParams;
      if (std::strcmp(id, MOEC_EXT_TRAIN) == 0) return &kTrain;
    }
    if constexpr (std::is_base_of_v<SelfFitting, T>) {
      if (std::strcmp(id, MOEC_EXT_FIT) == 0) return &kFit;
    }
    if constexpr (std::is_base_of_v<Stateful, T>) {
      if (std::strcmp(id, MOEC_EXT_STATE) == 0) return &kState;
    }
    if constexpr (std::is_base_of_v<Bottleneck, T>) {
      if (std::strcmp(id, MOEC_EXT_BOTTLENECK) == 0) return &kBottleneck;
    }
    if constexpr (std::is_base_of_v<Explaining, T>) {
      if (std::strcmp(id, MOEC_EXT_EXPLAIN) == 0) return &kExplain;
    }
    if constexpr (kNamesDevices) {
      if (std::strcmp(id, MOEC_EXT_DEVICE) == 0) return &kDevice;
    }
    return nullptr;
  }

  // --- moecollab.draft.device/1
  static int32_t takes(moec_expert* e, int32_t device_type) {
    const bool known = device_type == MOEC_CUDA || device_type == MOEC_EXT_DEV;
    return known && object(e).contract.place == Place::any_device ? 1 : 0;
  }

  // --- moecollab.params/1 and moecollab.train/1
  static uint64_t param_count(moec_expert* e) { return self(e).parameters().size(); }

  static moec_status param_describe(moec_expert* e, uint64_t i, moec_param_info* out,
                                    moec_error* error) {
    return guarded(error, [&] {
      require(i < self(e).parameters().size() && out != nullptr, "no such parameter");
      const ParameterSpec& spec = self(e).parameters()[static_cast<size_t>(i)];
      moec_param_info info{};
      info.struct_size = out->struct_size;
      info.name = to_string(spec.name);
      info.ndim = static_cast<int32_t>(spec.shape.size());
      info.shape = spec.shape.data();
      info.trainable = spec.trainable;
      info.decay = spec.decay;
      info.lr_scale = spec.lr_scale;
      std::memcpy(out, &info, out->struct_size < sizeof(info) ? out->struct_size : sizeof(info));
    });
  }

  static moec_status param_bind(moec_expert* e, const moec_tensor* values, const moec_tensor* grads,
                                moec_error* error) {
    return guarded(error, [&] {
      const std::vector<ParameterSpec>& specs = self(e).parameters();
      require(specs.empty() || (values != nullptr && grads != nullptr),
              "bind() needs values and gradients");
      std::vector<float*> value_data, grad_data;
      for (size_t i = 0; i < specs.size(); ++i) {
        const Place place = object(e).contract.place;
        check_tensor(&values[i], MOEC_FLOAT, specs[i].shape, specs[i].name, place);
        check_tensor(&grads[i], MOEC_FLOAT, specs[i].shape, specs[i].name, place);
        value_data.push_back(static_cast<float*>(values[i].data));
        grad_data.push_back(static_cast<float*>(grads[i].data));
      }
      if constexpr (kNamesDevices) {
        if (!specs.empty()) self(e).bind_on(values[0].device_type, values[0].device_id);
      }
      self(e).bind(value_data, grad_data);
    });
  }

  static moec_status param_init(moec_expert* e, uint64_t seed, moec_error* error) {
    return guarded(error, [&] { self(e).init(seed); });
  }
  static moec_status param_changed(moec_expert* e, moec_error* error) {
    return guarded(error, [&] {
      self(e).before_params_changed();
      self(e).params_changed();
    });
  }

  static moec_status forward_train(moec_expert* e, const moec_exec* exec, const moec_batch* batch,
                                   const moec_tensor* logits, moec_saved** saved,
                                   moec_error* error) {
    return guarded(error, [&] {
      check_call(e, batch, logits);
      require(exec != nullptr && saved != nullptr, "forward_train() needs exec and saved");
      Logits out(*logits);
      *saved =
          reinterpret_cast<moec_saved*>(self(e).forward_train(Batch(*batch), out, *exec).release());
    });
  }

  static moec_status vjp(moec_expert* e, const moec_exec*, moec_saved* saved, const moec_tensor* gy,
                         uint64_t gx_count, const moec_tensor* const* gx, moec_error* error) {
    return guarded(error, [&] {
      require(saved != nullptr && gy != nullptr && (gx != nullptr || gx_count == 0),
              "vjp() needs saved, gy and gx");
      require(
          is_tensor(*gy, MOEC_FLOAT) && gy->ndim == 2 && gy->shape[1] == object(e).contract.classes,
          "gy is not [rows, classes] float32");
      std::vector<float*> wanted(static_cast<size_t>(gx_count), nullptr);
      for (size_t i = 0; i < wanted.size(); ++i) {
        require(gx[i] == nullptr || is_tensor(*gx[i], MOEC_FLOAT), "gx is not float32");
        if (gx[i] != nullptr) wanted[i] = static_cast<float*>(gx[i]->data);
      }
      self(e).vjp(*reinterpret_cast<Trainable::Saved*>(saved), Matrix<const float>(*gy), wanted);
    });
  }

  static void release_saved(moec_expert*, moec_saved* saved) {
    guarded(nullptr, [&] { delete reinterpret_cast<Trainable::Saved*>(saved); });
  }

  // --- moecollab.fit/1
  static moec_status fit_begin(moec_expert* e, const moec_exec*, int64_t rows, int32_t epochs,
                               uint64_t seed, moec_error* error) {
    return guarded(error, [&] { self(e).fit_begin(rows, epochs, seed); });
  }
  static moec_status fit_batch(moec_expert* e, const moec_exec*, const moec_batch* batch,
                               const moec_tensor* labels, const moec_tensor* weights,
                               moec_error* error) {
    return guarded(error, [&] {
      check_batch(object(e).contract, batch);
      check_tensor(labels, MOEC_INT, {batch->rows}, "labels");
      check_tensor(weights, MOEC_FLOAT, {batch->rows}, "weights");
      check_targets(object(e).contract, *labels, *weights);
      self(e).fit_batch(Batch(*batch), elements<const int32_t>(*labels),
                        elements<const float>(*weights));
    });
  }
  static moec_status fit_epoch_end(moec_expert* e, const moec_exec*, int32_t* want_more,
                                   moec_error* error) {
    return guarded(error, [&] {
      require(want_more != nullptr, "fit_epoch_end() needs a place for its answer");
      *want_more = self(e).fit_epoch_end() ? 1 : 0;
    });
  }
  static moec_status fit_end(moec_expert* e, moec_error* error) {
    return guarded(error, [&] { self(e).fit_end(); });
  }

  // --- moecollab.state/1
  static uint64_t state_count(moec_expert* e) { return self(e).state().size(); }
  static moec_status state_describe(moec_expert* e, uint64_t i, moec_state_info* out,
                                    moec_error* error) {
    return guarded(error, [&] {
      require(out != nullptr, "describe() needs a place for its answer");
      const TensorSpec& spec = state_spec(e, i);
      moec_state_info info{};
      info.struct_size = out->struct_size;
      info.name = to_string(spec.name);
      info.ndim = static_cast<int32_t>(spec.shape.size());
      info.shape = spec.shape.data();
      std::memcpy(out, &info, out->struct_size < sizeof(info) ? out->struct_size : sizeof(info));
    });
  }
  static moec_status state_read(moec_expert* e, uint64_t i, const moec_tensor* to,
                                moec_error* error) {
    return guarded(error, [&] {
      check_tensor(to, MOEC_FLOAT, state_spec(e, i).shape, state_spec(e, i).name);
      self(e).read_state(static_cast<size_t>(i), elements<float>(*to));
    });
  }
  static moec_status state_write(moec_expert* e, uint64_t i, const moec_tensor* from,
                                 moec_error* error) {
    return guarded(error, [&] {
      check_tensor(from, MOEC_FLOAT, state_spec(e, i).shape, state_spec(e, i).name);
      self(e).write_state(static_cast<size_t>(i), elements<const float>(*from));
    });
  }
  static const TensorSpec& state_spec(moec_expert* e, uint64_t i) {
    require(i < self(e).state().size(), "no such state tensor");
    return self(e).state()[static_cast<size_t>(i)];
  }

  // --- moecollab.draft.bottleneck/1
  static moec_status bottleneck_describe(moec_expert* e, moec_bottleneck* out, moec_error* error) {
    return guarded(error, [&] {
      require(e != nullptr && out != nullptr, "describe() needs an expert and a place");
      moec_bottleneck matrices = self(e).matrices();
      matrices.struct_size = out->struct_size;
      std::memcpy(out, &matrices,
                  out->struct_size < sizeof(matrices) ? out->struct_size : sizeof(matrices));
    });
  }

  // --- moecollab.draft.explain/1
  static moec_status explain(moec_expert* e, const moec_exec*, const moec_batch* batch,
                             int32_t label, int64_t most, moec_evidence* out, int64_t* count,
                             moec_error* error) {
    return guarded(error, [&] {
      require(e != nullptr && out != nullptr && count != nullptr,
              "explain() needs an expert and a place");
      check_batch(object(e).contract, batch);
      require(batch->rows == 1, "explain() is about one row");
      require(label >= 0 && label < object(e).contract.classes, "no such class");
      require(most >= 0, "`most` is negative");
      const std::vector<moec_evidence> found =
          self(e).explain(Batch(*batch), label, static_cast<size_t>(most));
      require(found.size() <= static_cast<size_t>(most), "explain() gave more than was asked for");
      std::copy(found.begin(), found.end(), out);
      *count = static_cast<int64_t>(found.size());
    });
  }

  // Instantiated only if get_extension() names them, so T need not have all interfaces.
  inline static const moec_library_info* info_ = nullptr;
  inline static Input inputs_{};
  static const moec_ext_params kParams;
  static const moec_ext_train kTrain;
  static const moec_ext_fit kFit;
  static const moec_ext_state kState;
  static const moec_ext_bottleneck kBottleneck;
  static const moec_ext_explain kExplain;
  static const moec_ext_device kDevice;
};

template <typename T>
const moec_ext_params Library<T>::kParams = {
    sizeof(moec_ext_params), &param_count, &param_describe, &param_bind, &param_init,
    &param_changed};
template <typename T>
const moec_ext_train Library<T>::kTrain = {sizeof(moec_ext_train), &forward_train, &vjp,
                                           &release_saved};
template <typename T>
const moec_ext_fit Library<T>::kFit = {sizeof(moec_ext_fit), &fit_begin, &fit_batch, &fit_epoch_end,
                                       &fit_end};
template <typename T>
const moec_ext_state Library<T>::kState = {sizeof(moec_ext_state), &state_count, &state_describe,
                                           &state_read, &state_write};
template <typename T>
const moec_ext_bottleneck Library<T>::kBottleneck = {sizeof(moec_ext_bottleneck),
                                                     &bottleneck_describe};
template <typename T>
const moec_ext_explain Library<T>::kExplain = {sizeof(moec_ext_explain), &explain};
template <typename T>
const moec_ext_device Library<T>::kDevice = {sizeof(moec_ext_device), &takes};

}  // namespace detail
}  // namespace moecollab

#endif  // MOECOLLAB_DETAIL_SHIM_HPP_
