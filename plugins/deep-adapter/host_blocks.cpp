#include "host_blocks.h"

#include <ATen/core/grad_mode.h>

#include <deque>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

namespace moecollab::deep_adapter {
namespace {

const moec_ext_blocks* table_of(const moec_host* host) {
  return host == nullptr
             ? nullptr
             : static_cast<const moec_ext_blocks*>(host->get_extension(host, MOEC_EXT_BLOCKS));
}

moec_tensor view_of(const at::Tensor& tensor) {
  moec_tensor view{};
  view.data = tensor.data_ptr();
  view.device_type = tensor.is_cpu() ? MOEC_CPU : tensor.is_cuda() ? MOEC_CUDA : MOEC_EXT_DEV;
  view.device_id = tensor.is_cpu() ? 0 : tensor.device().index();
  view.ndim = static_cast<int32_t>(tensor.dim());
  view.type_code = MOEC_FLOAT;
  view.type_bits = 32;
  view.type_lanes = 1;
  view.shape = tensor.sizes().data();
  view.strides = tensor.strides().data();
  return view;
}

// The weights by the host's names; keeps those that are made for it.
class NamedWeights {
 public:
  explicit NamedWeights(const std::vector<BertBlock>& blocks) {
    for (size_t i = 0; i < blocks.size(); ++i) {
      const BertBlock& b = blocks[i];
      const std::string block = std::to_string(i) + ".";
      add(block + "attention.self.query", b.query);
      add(block + "attention.self.key", b.key);
      add(block + "attention.self.value", b.value);
      add(block + "attention.output.dense", b.attention_out);
      add(block + "intermediate.dense", b.up);
      add(block + "output.dense", b.down);
      add(block + "attention.output.LayerNorm.weight", *b.attention_norm_weight);
      add(block + "attention.output.LayerNorm.bias", *b.attention_norm_bias);
      add(block + "output.LayerNorm.weight", *b.output_norm_weight);
      add(block + "output.LayerNorm.bias", *b.output_norm_bias);
    }
  }

  uint64_t count() const { return names_.size(); }
  const moec_string* names() const { return names_.data(); }
  const moec_tensor* views() const { return views_.data(); }

 private:
  void add(const std::string& name, const Matrix& m) {
    add(name + ".weight", weight_of(m));
    add(name + ".bias", *m.bias);
  }
  void add(const std::string& name, const at::Tensor& tensor) {
    const std::string& kept = kept_names_.emplace_back(name);
    names_.push_back({kept.data(), kept.size()});
    views_.push_back(view_of(kept_.emplace_back(tensor.to(at::kCPU).contiguous())));
  }

  std::deque<std::string> kept_names_;
  std::deque<at::Tensor> kept_;
  std::vector<moec_string> names_;
  std::vector<moec_tensor> views_;
};

void check(moec_status status, const moec_error& error) {
  if (status == MOEC_OUT_OF_MEMORY) throw std::bad_alloc();
  if (status != MOEC_OK)
    throw std::runtime_error(std::string("the host's blocks: ") + error.message);
}

moec_error empty_error() {
  moec_error error{};
  error.struct_size = sizeof error;
  return error;
}

}  // namespace

bool HostBlocks::offered(const moec_host* host) { return table_of(host) != nullptr; }

HostBlocks::HostBlocks(const moec_host* host, const std::vector<BertBlock>& blocks)
    : host_(host), table_(table_of(host)) {
  const at::NoGradGuard no_grad;
  const NamedWeights weights(blocks);
  moec_error error = empty_error();
  check(table_->pack(host_, blocks.size(), weights.count(), weights.names(), weights.views(),
                     &blocks_, &error),
        error);
}

HostBlocks::~HostBlocks() { table_->release(host_, blocks_); }

at::Tensor HostBlocks::means(const at::Tensor& states, const int32_t* row_offsets,
                             int64_t rows) const {
  at::Tensor means = at::empty({rows, states.size(1)}, states.options());
  const moec_tensor from = view_of(states), view = view_of(means);
  moec_error error = empty_error();
  check(
      table_->means(host_, blocks_, &from, row_offsets, static_cast<uint64_t>(rows), &view, &error),
      error);
  return means;
}

}  // namespace moecollab::deep_adapter
