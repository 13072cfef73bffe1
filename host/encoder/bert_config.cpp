#include "encoder/bert_config.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/git_lfs.h"
#include "base/json.h"
#include "base/strings.h"

namespace moecollab::encoder {
namespace {

// The keys are read one by one and others are ignored: exporters write dozens that change nothing.
class Reader {
 public:
  explicit Reader(const fs::path& file) : file_(escaped(file.string())) {
    refuse_lfs_pointer(file, "E_ENCODER");
    const std::string bytes = read_file(file, "E_ENCODER", 1 << 20);
    try {
      json_ = parse_json(bytes);
    } catch (const std::invalid_argument& error) {
      throw Error("E_ENCODER", fmt::format("{}: {}", file_, error.what()));
    }
    if (!json_.is_object()) throw Error("E_ENCODER", fmt::format("{}: not a JSON object", file_));
  }

  int64_t size(const char* key, int64_t most) const {
    const auto it = json_.find(key);
    if (it == json_.end()) throw Error("E_ENCODER", fmt::format("{}: `{}` is missing", file_, key));
    if (!it->is_number_integer() || it->get<int64_t>() < 1 || it->get<int64_t>() > most) {
      refuse(key, fmt::format("an integer from 1 to {}", most));
    }
    return it->get<int64_t>();
  }
  double number(const char* key, double fallback) const {
    const auto it = json_.find(key);
    if (it == json_.end()) return fallback;
    if (!it->is_number() || !(it->get<double>() > 0)) refuse(key, "a positive number");
    return it->get<double>();
  }
  template <typename T>
  T value(const char* key, T fallback, const char* expected) const {
    const auto it = json_.find(key);
    if (it == json_.end() || it->is_null()) return fallback;
    try {
      return it->template get<T>();
    } catch (const nlohmann::json::exception&) {
      refuse(key, expected);
    }
  }
  [[noreturn]] void refuse(const char* key, const std::string& expected,
                           const char* hint = "") const {
    throw Error("E_ENCODER",
                fmt::format("{}: `{}` is {}, expected {}", file_, key,
                            escaped(to_line(json_.at(key)), 60), expected),
                hint);
  }
  const std::string& file() const { return file_; }

 private:
  std::string file_;
  Json json_;
};

constexpr const char* kArchitectureHint =
    "only BERT's forward pass is computed: RoBERTa, XLM-RoBERTa, ELECTRA, MPNet and DistilBERT "
    "have weights of much the same names and another one; take a model with model_type \"bert\"";

// Configs from before 2020 have no model_type; their architectures tell.
void require_bert(const Reader& json) {
  const auto type = json.value<std::string>("model_type", "", "a string");
  if (!type.empty() && type != "bert") json.refuse("model_type", "\"bert\"", kArchitectureHint);
  if (!type.empty()) return;
  using Names = std::vector<std::string>;
  const auto architectures = json.value<Names>("architectures", {}, "a list of names");
  if (!architectures.empty() && !architectures.front().starts_with("Bert")) {
    json.refuse("architectures", "a name that begins with Bert", kArchitectureHint);
  }
}

std::string activation_of(const Reader& json) {
  auto name = json.value<std::string>("hidden_act", "gelu", "a string");
  if (name == "gelu" || name == "relu" || name == "silu") return name;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh") return "gelu_tanh";
  json.refuse("hidden_act", "gelu, gelu_new, gelu_pytorch_tanh, relu or silu");
}

}  // namespace

BertConfig read_bert_config(const fs::path& folder) {
  const Reader json(folder / "config.json");
  require_bert(json);
  if (json.value<std::string>("position_embedding_type", "absolute", "a string") != "absolute") {
    json.refuse("position_embedding_type", "\"absolute\"");
  }
  if (json.value<bool>("is_decoder", false, "a boolean")) json.refuse("is_decoder", "false");
  BertConfig config;
  config.layers = json.size("num_hidden_layers", 256);
  config.hidden = json.size("hidden_size", 1 << 16);
  config.heads = json.size("num_attention_heads", 1024);
  config.intermediate = json.size("intermediate_size", 1 << 18);
  config.vocabulary = json.size("vocab_size", 1 << 24);
  config.max_positions = json.size("max_position_embeddings", 1 << 20);
  config.token_types = json.size("type_vocab_size", 1 << 10);
  config.ln_eps = json.number("layer_norm_eps", 1e-12);
  config.activation = activation_of(json);
  if (config.hidden % config.heads != 0) {
    json.refuse("num_attention_heads", fmt::format("a divisor of hidden_size {}", config.hidden));
  }
  return config;
}

}  // namespace moecollab::encoder
