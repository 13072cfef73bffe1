#include "conformance/lent_info.h"

#include <fmt/format.h>

#include <cstring>

namespace moecollab::conformance {

template <typename T>
T* LentInfo::lend(const std::string& name, const T* values, size_t count) {
  if (values == nullptr) return nullptr;
  GuardedMemory& memory =
      *parts_.emplace_back(std::make_unique<GuardedMemory>(name, count * sizeof(T)));
  std::memcpy(memory.data(), values, count * sizeof(T));
  return static_cast<T*>(memory.data());
}

moec_string LentInfo::lend(const std::string& name, moec_string text) {
  return {lend(name, text.data, text.size), text.size};
}

const moec_encoder_info* LentInfo::lend_encoder(const moec_encoder_info* encoder) {
  if (encoder == nullptr) return nullptr;
  moec_encoder_info copy = *encoder;
  copy.activation = lend("the encoder's activation", encoder->activation);
  copy.fingerprint = lend("the encoder's fingerprint", encoder->fingerprint);
  return lend("the encoder's info", &copy, 1);
}

void LentInfo::lend_weights(const moec_create_info& from, moec_create_info& to) {
  std::vector<moec_string> names;
  std::vector<moec_tensor> tensors;
  for (uint64_t i = 0; i < from.weight_count; ++i) {
    const moec_string name = from.weight_names[i];
    const std::string what = "weight " + std::string(name.data, name.size);
    names.push_back(lend("the name of " + what, name));
    moec_tensor tensor = from.weights[i];
    size_t count = 1;
    for (int32_t d = 0; d < tensor.ndim; ++d) count *= static_cast<size_t>(tensor.shape[d]);
    const auto ndim = static_cast<size_t>(tensor.ndim);
    tensor.data = lend(what, static_cast<const float*>(tensor.data), count);
    tensor.shape = lend("the shape of " + what, tensor.shape, ndim);
    tensor.strides = lend("the strides of " + what, tensor.strides, ndim);
    tensors.push_back(tensor);
  }
  to.weight_names = lend("the names of the weights", names.data(), names.size());
  to.weights = lend("the list of the weights", tensors.data(), tensors.size());
}

LentInfo::LentInfo(const moec_create_info& from) {
  moec_create_info info = from;
  info.layers = lend("the list of layers", from.layers, from.layer_count);
  info.encoder = lend_encoder(from.encoder);
  info.config = lend("the config", from.config);
  lend_weights(from, info);
  lend("the info of create()", &info, 1);
  for (const auto& part : parts_) part->make_read_only();
}

const moec_create_info& LentInfo::info() const {
  return *static_cast<const moec_create_info*>(parts_.back()->data());
}

void LentInfo::take_back() {
  for (const auto& part : parts_) part->take_back();
}

}  // namespace moecollab::conformance
