// Views of what the host hands to an expert. C++17, header-only; nothing here owns memory.
#ifndef MOECOLLAB_VIEWS_HPP_
#define MOECOLLAB_VIEWS_HPP_

#include <moecollab/abi.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace moecollab {

// A contiguous run of elements.
template <typename T>
class View {
 public:
  View() = default;
  View(T* data, int64_t size) : data_(data), size_(size) {}
  T* data() const { return data_; }
  int64_t size() const { return size_; }
  T* begin() const { return data_; }
  T* end() const { return data_ + size_; }
  // Unchecked, as all access here.
  T& operator[](int64_t i) const { return data_[i]; }

 private:
  T* data_ = nullptr;
  int64_t size_ = 0;
};

// Strings across the boundary, borrowed both ways.
inline std::string_view to_view(moec_string s) {
  return s.size == 0 ? std::string_view() : std::string_view(s.data, static_cast<size_t>(s.size));
}
// The same bytes; they must outlive the result.
inline moec_string to_string(std::string_view s) { return moec_string{s.data(), s.size()}; }

// The number of elements.
inline int64_t element_count(const moec_tensor& t) {
  int64_t n = 1;
  for (int32_t i = 0; i < t.ndim; ++i) n *= t.shape[i];
  return n;
}
// "[3, 384]", for messages.
inline std::string shape_text(const int64_t* shape, size_t ndim) {
  std::string text = "[";
  for (size_t i = 0; i < ndim; ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + "]";
}
// All elements as one view, row-major; T must be the tensor's type.
template <typename T>
View<T> elements(const moec_tensor& t) {
  return View<T>(static_cast<T*>(t.data), element_count(t));
}

// A batch of n texts; only what the expert declared as its input may be asked for. A copy sees the
// same batch, and is valid as long.
class Batch {
 public:
  explicit Batch(const moec_batch& batch) : batch_(&batch) {}
  int64_t rows() const { return batch_->rows; }
  // The row's stable name, the same in every batch; seeds randomness of its own.
  int64_t row_id(int64_t row) const { return batch_->row_ids[row]; }
  // UTF-8, valid in the call.
  std::string_view text(int64_t row) const { return to_view(batch_->texts[row]); }
  // The row's token ids, two at least: [CLS] first, [SEP] last.
  View<const int32_t> tokens(int64_t row) const {
    return {elements<const int32_t>(*batch_->token_ids).data() + offset(row),
            offset(row + 1) - offset(row)};
  }
  // Where the row's tokens begin in the batch: rows of the gradient of hidden, too.
  int64_t first_token(int64_t row) const { return offset(row); }
  // H: numbers of a token's state, and of pooled features.
  int64_t hidden_width(int64_t slot = 0) const {
    return batch_->hidden != nullptr ? batch_->hidden[slot]->shape[1]
                                     : batch_->pooled[slot]->shape[1];
  }
  // The row's token states [tokens × H] in the slot-th layer asked for.
  View<const float> hidden(int64_t row, int64_t slot = 0) const {
    const moec_tensor& t = *batch_->hidden[slot];
    const int64_t width = t.shape[1];
    return {elements<const float>(t).data() + offset(row) * width,
            (offset(row + 1) - offset(row)) * width};
  }
  // The row's pooled features [H] in the slot-th layer asked for.
  View<const float> pooled(int64_t row, int64_t slot = 0) const {
    const moec_tensor& t = *batch_->pooled[slot];
    return {elements<const float>(t).data() + row * t.shape[1], t.shape[1]};
  }
  // How many layers were asked for.
  int64_t slots() const { return static_cast<int64_t>(batch_->layer_count); }
  const moec_batch& raw() const { return *batch_; }

 private:
  int64_t offset(int64_t row) const { return batch_->row_offsets[row]; }
  const moec_batch* batch_;
};

// A matrix [rows × columns] of float32: the logits to write, or gradients to read.
template <typename T>
class Matrix {
 public:
  explicit Matrix(const moec_tensor& t)
      : data_(static_cast<T*>(t.data)), rows_(t.shape[0]), columns_(t.shape[1]) {}
  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  // One element, unchecked.
  T& operator()(int64_t row, int64_t column) const { return data_[row * columns_ + column]; }
  // One row [columns].
  View<T> row(int64_t row) const { return {data_ + row * columns_, columns_}; }

 private:
  T* data_;
  int64_t rows_, columns_;
};
// Where forward() writes: [n × classes].
using Logits = Matrix<float>;

// What an expert is made from. Views are valid in the constructor only: copy what you keep.
class CreateInfo {
 public:
  CreateInfo(const moec_host* host, const moec_create_info& info) : host_(host), info_(&info) {}
  int32_t classes() const { return info_->classes; }
  // nullptr for an expert that uses no encoder.
  const moec_encoder_info* encoder() const { return info_->encoder; }
  // MOEC_POOLING_MEAN, MOEC_POOLING_CLS, or MOEC_POOLING_NONE if pooled features are not read.
  int32_t pooling() const { return info_->pooling; }
  // The manifest's layers, counted from the embeddings: -1 of a six-block encoder is 6 here.
  View<const int32_t> layers() const {
    return {info_->layers, static_cast<int64_t>(info_->layer_count)};
  }
  // The manifest's [config] as JSON text; config.hpp reads single values.
  std::string_view config() const { return to_view(info_->config); }
  const moec_host* host() const { return host_; }

  // False before training. An expert that needs weights just asks for them.
  bool has_weights() const { return info_->weight_count > 0; }
  // The weight of that name; std::invalid_argument if it is missing or has another shape.
  View<const float> weights(std::string_view name, const std::vector<int64_t>& shape) const {
    for (uint64_t i = 0; i < info_->weight_count; ++i) {
      if (to_view(info_->weight_names[i]) != name) continue;
      const moec_tensor& found = info_->weights[i];
      const size_t ndim = static_cast<size_t>(found.ndim);
      if (std::vector<int64_t>(found.shape, found.shape + ndim) != shape) {
        throw std::invalid_argument("weight " + std::string(name) + " is " +
                                    shape_text(found.shape, ndim) + ", expected " +
                                    shape_text(shape.data(), shape.size()));
      }
      return elements<const float>(found);
    }
    throw std::invalid_argument("weight " + std::string(name) + " is missing");
  }
  const moec_create_info& raw() const { return *info_; }

 private:
  const moec_host* host_;
  const moec_create_info* info_;
};

}  // namespace moecollab

#endif  // MOECOLLAB_VIEWS_HPP_
