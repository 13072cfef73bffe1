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
                     bool read_only, bool first_at_the_start) {
  const size_t n = rows.size();
  view_.struct_size = sizeof view_;
  view_.rows = static_cast<int64_t>(n);
  row_ids_ = std::make_unique<GuardedMemory>("row_ids", n * sizeof(int64_t));
  for (size_t i = 0; i < n; ++i) static_cast<int64_t*>(row_ids_->data())[i] = rows[i].id;
  view_.row_ids = static_cast<const int64_t*>(row_ids_->data());
  if (inputs & MOEC_INPUT_TEXT) add_texts(rows, first_at_the_start);
  const int64_t total =
      inputs & (MOEC_INPUT_TOKENS | MOEC_INPUT_HIDDEN) ? add_row_offsets(rows) : 0;
  if (inputs & MOEC_INPUT_TOKENS) {
    tokens_ = std::make_unique<GuardedTensor>("token_ids", std::vector<int64_t>{total}, MOEC_INT);
    int32_t* to = tokens_->ints();
    for (const Row& row : rows) to = std::copy(row.tokens.begin(), row.tokens.end(), to);
    view_.token_ids = &tokens_->view;
  }
  if (inputs & (MOEC_INPUT_HIDDEN | MOEC_INPUT_POOLED)) view_.layer_count = layers;
  if (inputs & MOEC_INPUT_HIDDEN)
    view_.hidden =
        add_layers("hidden", rows, &Row::hidden, layers, {total, hidden}, hidden_, hidden_views_);
  if (inputs & MOEC_INPUT_POOLED)
    view_.pooled = add_layers("pooled", rows, &Row::pooled, layers, {view_.rows, hidden}, pooled_,
                              pooled_views_);
  if (read_only) make_read_only();
}

// One after the other without a 0 between, the last one ending where memory ends; an empty one is
// nowhere.
void TestBatch::add_texts(const std::vector<Row>& rows, bool first_at_the_start) {
  size_t size = 0;
  for (const Row& row : rows) size += row.text.size();
  text_bytes_ = std::make_unique<GuardedMemory>("texts", size, /*alignment=*/1, first_at_the_start);
  texts_ = std::make_unique<GuardedMemory>("the array of texts", rows.size() * sizeof(moec_string));
  auto* to = static_cast<char*>(text_bytes_->data());
  auto* views = static_cast<moec_string*>(texts_->data());
  for (size_t i = 0; i < rows.size(); ++i) {
    views[i] = {rows[i].text.empty() ? nullptr : to, rows[i].text.size()};
    to = std::copy(rows[i].text.begin(), rows[i].text.end(), to);
  }
  view_.texts = views;
}

int64_t TestBatch::add_row_offsets(const std::vector<Row>& rows) {
  offsets_ = std::make_unique<GuardedMemory>("row_offsets", (rows.size() + 1) * sizeof(int32_t));
  auto* offsets = static_cast<int32_t*>(offsets_->data());
  int64_t total = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    offsets[i] = static_cast<int32_t>(total);
    total += static_cast<int64_t>(rows[i].tokens.size());
  }
  offsets[rows.size()] = static_cast<int32_t>(total);
  view_.row_offsets = offsets;
  return total;
}

const moec_tensor* const* TestBatch::add_layers(const char* name, const std::vector<Row>& rows,
                                                std::vector<std::vector<float>> Row::*values,
                                                size_t layers, const std::vector<int64_t>& shape,
                                                std::deque<GuardedTensor>& tensors,
                                                std::vector<const moec_tensor*>& views) {
  for (size_t l = 0; l < layers; ++l) {
    GuardedTensor& tensor = tensors.emplace_back(fmt::format("{}[{}]", name, l), shape);
    float* to = tensor.floats();
    for (const Row& row : rows)
      to = std::copy((row.*values)[l].begin(), (row.*values)[l].end(), to);
    views.push_back(&tensor.view);
  }
  return views.empty() ? nullptr : views.data();
}

void TestBatch::make_read_only() {
  row_ids_->make_read_only();
  if (texts_) texts_->make_read_only();
  if (text_bytes_) text_bytes_->make_read_only();
  if (offsets_) offsets_->make_read_only();
  if (tokens_) tokens_->memory.make_read_only();
  for (GuardedTensor* tensor : float_inputs()) tensor->memory.make_read_only();
}

void TestBatch::take_back() {
  for (const auto& memory : {&text_bytes_, &texts_, &offsets_, &row_ids_}) {
    if (*memory) (*memory)->take_back();
  }
  std::vector<GuardedTensor*> tensors = float_inputs();
  if (tokens_) tensors.push_back(tokens_.get());
  for (GuardedTensor* tensor : tensors) {
    tensor->memory.take_back();
    tensor->view.data = nullptr;
    std::fill(tensor->shape.begin(), tensor->shape.end(), -1);
  }
  std::fill(hidden_views_.begin(), hidden_views_.end(), nullptr);
  std::fill(pooled_views_.begin(), pooled_views_.end(), nullptr);
  view_ = {};
}

std::vector<GuardedTensor*> TestBatch::float_inputs() {
  std::vector<GuardedTensor*> all;
  for (GuardedTensor& tensor : hidden_) all.push_back(&tensor);
  for (GuardedTensor& tensor : pooled_) all.push_back(&tensor);
  return all;
}

}  // namespace moecollab::conformance
