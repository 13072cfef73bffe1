// The contract of abi.h, checked before an author's code sees what the host handed in: each
// function throws std::invalid_argument with what is wrong. Included by shim.hpp.
#ifndef MOECOLLAB_DETAIL_CHECKS_HPP_
#define MOECOLLAB_DETAIL_CHECKS_HPP_

#include <cstdint>
#include <moecollab/views.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace moecollab {
namespace detail {

inline void require(bool holds, const char* otherwise) {
  if (!holds) throw std::invalid_argument(otherwise);
}

// Where the tensors of a call may lie.
enum class Place { main_memory, any_device };

inline bool is_tensor(const moec_tensor& t, int type_code, Place place = Place::main_memory) {
  return t.data != nullptr && (t.device_type == MOEC_CPU || place == Place::any_device) &&
         t.type_code == type_code && t.type_bits == 32 && t.type_lanes == 1;
}

inline void check_tensor(const moec_tensor* t, int type_code, const std::vector<int64_t>& shape,
                         const std::string& name, Place place = Place::main_memory) {
  const char* type = type_code == MOEC_FLOAT ? "float32" : "int32";
  if (t == nullptr) throw std::invalid_argument(name + " is null");
  if (!is_tensor(*t, type_code, place)) {
    throw std::invalid_argument(name + " is no " + type + " tensor" +
                                (place == Place::any_device ? "" : " in main memory"));
  }
  const size_t ndim = static_cast<size_t>(t->ndim);
  if (std::vector<int64_t>(t->shape, t->shape + ndim) != shape) {
    throw std::invalid_argument(name + " is " + shape_text(t->shape, ndim) + ", expected " +
                                shape_text(shape.data(), shape.size()));
  }
}

// What one expert agreed on in create().
struct Contract {
  int32_t classes = 0;
  uint32_t inputs = 0;
  int64_t hidden = 0;  // the encoder's; 0 without one
  std::vector<int32_t> layers;
  Place place = Place::main_memory;
};

inline void check_create_info(const moec_create_info& info) {
  require(MOEC_HAS(&info, moec_create_info, weights), "create info of an older ABI");
  require(info.classes >= 1, "an expert needs at least one class");
  const bool layered = (info.inputs & (MOEC_INPUT_HIDDEN | MOEC_INPUT_POOLED)) != 0;
  require(info.encoder != nullptr || (info.inputs & ~unsigned{MOEC_INPUT_TEXT}) == 0,
          "the expert reads the encoder's output, but no encoder is given");
  require(!layered || (info.layer_count > 0 && info.layers != nullptr),
          "the expert reads the encoder's layers, but none is named");
  require(info.weight_count == 0 || (info.weight_names != nullptr && info.weights != nullptr),
          "weights are counted but not given");
}

inline Contract contract_of(const moec_create_info& info) {
  Contract contract;
  contract.classes = info.classes;
  contract.inputs = info.inputs;
  contract.hidden = info.encoder == nullptr ? 0 : info.encoder->hidden;
  if (info.layer_count > 0) contract.layers.assign(info.layers, info.layers + info.layer_count);
  return contract;
}

inline void check_layers(const Contract& contract, const moec_batch& batch, int64_t rows,
                         const moec_tensor* const* tensors, const std::string& name) {
  if (tensors == nullptr || batch.layer_count != contract.layers.size()) {
    throw std::invalid_argument("the batch has " + std::to_string(batch.layer_count) + " layers (" +
                                name + (tensors == nullptr ? " is null" : "") +
                                "), the expert reads " + std::to_string(contract.layers.size()));
  }
  for (size_t slot = 0; slot < contract.layers.size(); ++slot) {
    check_tensor(tensors[slot], MOEC_FLOAT, {rows, contract.hidden},
                 name + "[" + std::to_string(slot) + "]", contract.place);
  }
}

inline void check_batch(const Contract& contract, const moec_batch* batch) {
  require(batch != nullptr, "the batch is null");
  require(MOEC_HAS(batch, moec_batch, pooled), "a batch of an older ABI");
  require(batch->rows >= 1 && batch->row_ids != nullptr, "the batch has no rows");
  const auto reads = [&](uint32_t input) { return (contract.inputs & input) != 0; };
  require(!reads(MOEC_INPUT_TEXT) || batch->texts != nullptr, "the batch has no texts");
  if (reads(MOEC_INPUT_TOKENS) || reads(MOEC_INPUT_HIDDEN)) {
    require(batch->row_offsets != nullptr, "the batch has no row offsets");
    const int64_t tokens = batch->row_offsets[batch->rows];
    if (reads(MOEC_INPUT_TOKENS))
      check_tensor(batch->token_ids, MOEC_INT, {tokens}, "token_ids", contract.place);
    if (reads(MOEC_INPUT_HIDDEN)) check_layers(contract, *batch, tokens, batch->hidden, "hidden");
  }
  if (reads(MOEC_INPUT_POOLED)) {
    check_layers(contract, *batch, batch->rows, batch->pooled, "pooled");
  }
}

inline void check_targets(const Contract& contract, const moec_tensor& labels,
                          const moec_tensor& weights) {
  for (const int32_t label : elements<const int32_t>(labels)) {
    require(label >= 0 && label < contract.classes, "a label outside [0, classes)");
  }
  for (const float weight : elements<const float>(weights)) {
    require(weight >= 0 && weight <= 3e38F, "a weight that is negative or not finite");
  }
}

}  // namespace detail
}  // namespace moecollab

#endif  // MOECOLLAB_DETAIL_CHECKS_HPP_
