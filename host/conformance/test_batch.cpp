#include "conformance/test_batch.h"

#include <fmt/format.h>

#include <algorithm>

namespace moecollab::conformance {

GuardedTensor::GuardedTensor(const std::string& name, std::vector<int64_t> sizes, uint8_t type)
    : shape(std::move(sizes)), strides(shape.size()), memory(name, [&] {
        size_t count = 4;
        for (const int64_t size : shape) count *= static_cast<size_t>(size);
        return count;
      }()) {
  int64_t step = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = step;
    step *= shape[i];
  }
  view = {memory.data(), MOEC_CPU,       0, static_cast<int32_t>(shape.size()), type, 32, 1,
          shape.data(),  strides.data(), 0};
}

TestBatch::TestBatch(const std::vector<Row>& rows, uint32_t inputs, size_t layers, int64_t hidden,
                     bool read_only) {
  const size_t n = rows.size();
  view_.struct_size = sizeof view_;
  view_.rows = static_cast<int64_t>(n);
  row_ids_ = std::make_unique<GuardedMemory>("row_ids", n * sizeof(int64_t));
  for (size_t i = 0; i < n; ++i) static_cast<int64_t*>(row_ids_->data())[i] = rows[i].id;
  view_.row_ids = static_cast<const int64_t*>(row_ids_->data());
  if (inputs & MOEC_INPUT_TEXT) {
    // One behind the other without a 0 between, the last one ending where memory ends.
    size_t size = 0;
    for (const Row& row : rows) size += row.text.size();
    text_bytes_ = std::make_unique<GuardedMemory>("texts", size, /*alignment=*/1);
    texts_ = std::make_unique<GuardedMemory>("the array of texts", n * sizeof(moec_string));
    auto* to = static_cast<char*>(text_bytes_->data());
    auto* views = static_cast<moec_string*>(texts_->data());
    for (size_t i = 0; i < n; ++i) {
      views[i] = {to, rows[i].text.size()};
      to = std::copy(rows[i].text.begin(), rows[i].text.end(), to);
    }
    view_.texts = views;
  }
  int64_t total = 0;
  if (inputs & (MOEC_INPUT_TOKENS | MOEC_INPUT_HIDDEN)) {
    offsets_ = std::make_unique<GuardedMemory>("row_offsets", (n + 1) * sizeof(int32_t));
    auto* offsets = static_cast<int32_t*>(offsets_->data());
    for (size_t i = 0; i < n; ++i) {
      offsets[i] = static_cast<int32_t>(total);
      total += static_cast<int64_t>(rows[i].tokens.size());
    }
    offsets[n] = static_cast<int32_t>(total);
    view_.row_offsets = offsets;
  }
  if (inputs & MOEC_INPUT_TOKENS) {
    tokens_ = std::make_unique<GuardedTensor>("token_ids", std::vector<int64_t>{total}, MOEC_INT);
    int32_t* to = tokens_->ints();
    for (const Row& row : rows) to = std::copy(row.tokens.begin(), row.tokens.end(), to);
    view_.token_ids = &tokens_->view;
  }
  if (inputs & (MOEC_INPUT_HIDDEN | MOEC_INPUT_POOLED)) view_.layer_count = layers;
  for (size_t l = 0; l < layers && (inputs & MOEC_INPUT_HIDDEN); ++l) {
    GuardedTensor& tensor =
        hidden_.emplace_back(fmt::format("hidden[{}]", l), std::vector<int64_t>{total, hidden});
    float* to = tensor.floats();
    for (const Row& row : rows) to = std::copy(row.hidden[l].begin(), row.hidden[l].end(), to);
    hidden_views_.push_back(&tensor.view);
  }
  for (size_t l = 0; l < layers && (inputs & MOEC_INPUT_POOLED); ++l) {
    GuardedTensor& tensor = pooled_.emplace_back(
        fmt::format("pooled[{}]", l), std::vector<int64_t>{static_cast<int64_t>(n), hidden});
    float* to = tensor.floats();
    for (const Row& row : rows) to = std::copy(row.pooled[l].begin(), row.pooled[l].end(), to);
    pooled_views_.push_back(&tensor.view);
  }
  if (!hidden_views_.empty()) view_.hidden = hidden_views_.data();
  if (!pooled_views_.empty()) view_.pooled = pooled_views_.data();
  if (!read_only) return;
  row_ids_->make_read_only();
  if (texts_) texts_->make_read_only();
  if (text_bytes_) text_bytes_->make_read_only();
  if (offsets_) offsets_->make_read_only();
  if (tokens_) tokens_->memory.make_read_only();
  for (GuardedTensor* tensor : float_inputs()) tensor->memory.make_read_only();
}

std::vector<GuardedTensor*> TestBatch::float_inputs() {
  std::vector<GuardedTensor*> all;
  for (GuardedTensor& tensor : hidden_) all.push_back(&tensor);
  for (GuardedTensor& tensor : pooled_) all.push_back(&tensor);
  return all;
}

}  // namespace moecollab::conformance
