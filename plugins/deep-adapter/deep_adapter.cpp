// The stock deep adapter: the encoder's blocks above a fork as the expert's own, then the mean over
// a text's real tokens and a linear head. The blocks start as the shared encoder's.
#include <moecollab/ext/draft/precision.h>
#include <moecollab/ext/encoder.h>

#include <algorithm>
#include <moecollab/config.hpp>
#include <moecollab/torch_expert.hpp>
#include <numeric>

#include "bert_block.h"
#include "dropout.h"
#include "host_blocks.h"
#include "packing.h"

namespace moecollab::deep_adapter {
namespace {

constexpr int64_t kTokens = 4096;        // of one pass
constexpr float kHeadLearnsFaster = 10;  // than blocks that were trained before

// Whether the host wants products in training in bf16; a host that does not say wants float32.
bool trains_in_bfloat16(const moec_host* host) {
  const auto* precision =
      static_cast<const moec_ext_precision*>(host->get_extension(host, MOEC_EXT_PRECISION));
  return precision != nullptr && precision->training(host) == MOEC_PRECISION_BF16;
}

// The shared encoder's weights, by Hugging Face's names.
class EncoderWeights {
 public:
  explicit EncoderWeights(const moec_host* host)
      : host_(host),
        table_(static_cast<const moec_ext_encoder*>(host->get_extension(host, MOEC_EXT_ENCODER))) {}

  at::Tensor get(const std::string& name) const {
    if (table_ == nullptr)
      throw std::invalid_argument(
          "the host does not offer moecollab.encoder/1, which the fork starts from");
    moec_tensor view{};
    moec_error error{};
    error.struct_size = sizeof error;
    if (table_->weight(host_, to_string(name), &view, &error) != MOEC_OK) {
      throw std::invalid_argument("the encoder has no weight " + name + ": " + error.message);
    }
    return tensor_over(view);
  }

 private:
  const moec_host* host_;
  const moec_ext_encoder* table_;
};

class DeepAdapter final : public TorchExpert {
 public:
  explicit DeepAdapter(const CreateInfo& info)
      : TorchExpert(info),
        host_(info.host()),
        encoder_(info.host()),
        hidden_(info.encoder()->hidden),
        intermediate_(info.encoder()->intermediate),
        depth_(depth(info)),
        fork_(info.encoder()->layers - static_cast<int32_t>(depth_)),
        rank_(is_lora(info) ? config_integer(info.config(), "rank", 8, 1, 1024) : 0),
        starts_here_(!info.has_weights()),
        fixed_(info.has_weights()),
        trains_in_bfloat16_(trains_in_bfloat16(info.host())) {
    config_allow(info.config(), {"depth", "mode", "rank", "dropout"});
    if (info.layers().size() != 1)
      throw std::invalid_argument("it forks from one layer; [input] layers names " +
                                  std::to_string(info.layers().size()));
    settings_.heads = info.encoder()->heads;
    settings_.ln_eps = info.encoder()->ln_eps;
    settings_.activation = std::string(to_view(info.encoder()->activation));
    dropout_ = config_number(info.config(), "dropout", 0.1, 0.0, 0.9);
    for (int32_t i = fork_; i < info.encoder()->layers; ++i)
      blocks_.push_back(block("encoder.layer." + std::to_string(i) + "."));
    const ParameterTraits head{true, kHeadLearnsFaster, {}};
    head_weight_ = &add_parameter("head.weight", {classes(), hidden_}, normal(0.02), head);
    head_bias_ = &add_parameter("head.bias", {classes()}, constant(0), head);
  }

  std::vector<int32_t> layers() const override { return {fork_}; }

  Flops flops() const override {
    return {2 * hidden_ * classes(),
            depth_ * 2 * (4 * hidden_ * hidden_ + 2 * hidden_ * intermediate_),
            depth_ * 4 * hidden_};
  }

  bool runs_on_any_device() const override { return true; }
  void moved_to(at::Device device) override {
    for (size_t i = 0; i < shared_.size(); ++i) shared_[i] = of_encoder_[i].to(device);
  }

  void params_changed() override {
    fixed_ = false;
    by_host_.reset();
  }

  at::Tensor forward(const TorchBatch& in) override {
    if (fixed_ && !in.training && !at::GradMode::is_enabled() && HostBlocks::offered(host_))
      return forward_by_host(in);
    BlockSettings settings = settings_;
    settings.dropout = in.training ? dropout_ : 0;
    settings.products = in.training && trains_in_bfloat16_ ? at::kBFloat16 : at::kFloat;
    const std::vector<int64_t> order = longest_first(in);
    std::vector<at::Tensor> parts;
    for (size_t first = 0; first < order.size();) {
      const size_t end = end_of_pass(in, order, first);
      parts.push_back(logits(in,
                             {order.begin() + static_cast<ptrdiff_t>(first),
                              order.begin() + static_cast<ptrdiff_t>(end)},
                             settings));
      first = end;
    }
    // Back into the order of the batch.
    std::vector<int64_t> place(order.size());
    for (size_t i = 0; i < order.size(); ++i)
      place[static_cast<size_t>(order[i])] = static_cast<int64_t>(i);
    const at::Tensor all = at::cat(parts);
    return all.index_select(0, at::tensor(place, at::kLong).to(all.device()));
  }

 private:
  static bool is_lora(const CreateInfo& info) {
    const std::string mode = config_word(info.config(), "mode", "full");
    if (mode != "full" && mode != "lora")
      throw std::invalid_argument("config.mode = \"" + mode + "\" is neither full nor lora");
    return mode == "lora";
  }
  static int64_t depth(const CreateInfo& info) {
    const int64_t layers = info.encoder()->layers;
    if (config_word(info.config(), "depth", "") == "all") return layers;
    return config_integer(info.config(), "depth", std::min<int64_t>(2, layers), 1, layers);
  }

  // A weight of the encoder: a parameter of its own that starts there, or (LoRA) that very one.
  const at::Tensor* own(const std::string& name, const std::vector<int64_t>& shape) {
    if (rank_ > 0) return &shared_.emplace_back(of_encoder_.emplace_back(encoder_.get(name)));
    return &add_parameter(name, shape, starts_here_ ? copy_of(encoder_.get(name)) : constant(0));
  }
  Matrix matrix(const std::string& name, int64_t out, int64_t in) {
    Matrix m{own(name + ".weight", {out, in}), own(name + ".bias", {out}), nullptr, nullptr};
    if (rank_ == 0) return m;
    m.a = &add_parameter(name + ".lora_a", {rank_, in}, normal(0.02));
    m.b = &add_parameter(name + ".lora_b", {out, rank_}, constant(0));
    return m;
  }
  BertBlock block(const std::string& layer) {
    BertBlock b;
    b.query = matrix(layer + "attention.self.query", hidden_, hidden_);
    b.key = matrix(layer + "attention.self.key", hidden_, hidden_);
    b.value = matrix(layer + "attention.self.value", hidden_, hidden_);
    b.attention_out = matrix(layer + "attention.output.dense", hidden_, hidden_);
    b.attention_norm_weight = own(layer + "attention.output.LayerNorm.weight", {hidden_});
    b.attention_norm_bias = own(layer + "attention.output.LayerNorm.bias", {hidden_});
    b.up = matrix(layer + "intermediate.dense", intermediate_, hidden_);
    b.down = matrix(layer + "output.dense", hidden_, intermediate_);
    b.output_norm_weight = own(layer + "output.LayerNorm.weight", {hidden_});
    b.output_norm_bias = own(layer + "output.LayerNorm.bias", {hidden_});
    return b;
  }

  static int64_t length(const TorchBatch& in, int64_t row) {
    return in.raw->row_offsets[row + 1] - in.raw->row_offsets[row];
  }
  static std::vector<int64_t> longest_first(const TorchBatch& in) {
    std::vector<int64_t> order(static_cast<size_t>(in.rows));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int64_t a, int64_t b) { return length(in, a) > length(in, b); });
    return order;
  }

  at::Tensor forward_by_host(const TorchBatch& in) {
    if (!by_host_) by_host_ = std::make_unique<HostBlocks>(host_, blocks_);
    const at::Tensor means =
        by_host_->means(tensor_over(*in.raw->hidden[0]), in.raw->row_offsets, in.rows);
    return at::linear(means.to(head_weight_->device()), *head_weight_, *head_bias_);
  }

  // One row at least.
  static size_t end_of_pass(const TorchBatch& in, const std::vector<int64_t>& order, size_t first) {
    int64_t tokens = length(in, order[first]);
    size_t end = first + 1;
    while (end < order.size() && (tokens += length(in, order[end])) <= kTokens) ++end;
    return end;
  }

  // Logits [rows, C] of some rows, the longest first.
  at::Tensor logits(const TorchBatch& in, const std::vector<int64_t>& rows,
                    const BlockSettings& settings) const {
    std::vector<int64_t> lengths, tokens;
    for (const int64_t row : rows) {
      lengths.push_back(length(in, row));
      for (int64_t t = 0; t < lengths.back(); ++t) tokens.push_back(in.raw->row_offsets[row] + t);
    }
    const auto packing = c10::make_intrusive<Packing>(std::move(lengths), in.hidden[0].device());
    // Rows that no text owns repeat one.
    tokens.resize(static_cast<size_t>(packing->rows), tokens.front());
    at::Tensor state =
        in.hidden[0].index_select(0, at::tensor(tokens, at::kLong).to(in.hidden[0].device()));
    for (const BertBlock& block : blocks_) state = block(state, packing, settings, in.generator);
    const at::Tensor pooled =
        dropout(mean_per_text(state, packing), settings.dropout, in.generator);
    return at::linear(pooled, *head_weight_, *head_bias_);
  }

  const moec_host* host_;
  EncoderWeights encoder_;
  int64_t hidden_, intermediate_, depth_;
  int32_t fork_;
  int64_t rank_;      // of the low-rank changes; 0: the blocks themselves are trained
  bool starts_here_;  // no weights yet
  bool fixed_;        // the weights are those of create()
  std::unique_ptr<HostBlocks> by_host_;  // made of them at the first forward()
  bool trains_in_bfloat16_;
  double dropout_ = 0.1;
  BlockSettings settings_;
  std::vector<at::Tensor> of_encoder_;  // in the host's memory
  std::deque<at::Tensor> shared_;       // the same, where the blocks are
  std::vector<BertBlock> blocks_;
  const at::Tensor *head_weight_ = nullptr, *head_bias_ = nullptr;
};

}  // namespace
}  // namespace moecollab::deep_adapter

MOECOLLAB_LIBRARY(moecollab::deep_adapter::DeepAdapter, "org.moecollab.deep-adapter", "0.1.0",
                  moecollab::Input::hidden);
