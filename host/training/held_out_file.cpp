#include "training/held_out_file.h"

#include <fmt/format.h>

#include <cstring>

#include "base/error.h"
#include "base/strings.h"
#include "encoder/tensor_io.h"

namespace moecollab::training {
namespace {

constexpr const char* kTexts = "text_sha256";
constexpr const char* kLogits = "logits";

std::string key(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

}  // namespace

std::optional<int64_t> HeldOutLogits::find(const Digest& text) const {
  if (rows_.empty()) {
    for (size_t i = 0; i < texts.size(); ++i) rows_.emplace(key(texts[i]), static_cast<int64_t>(i));
  }
  const auto it = rows_.find(key(text));
  return it == rows_.end() ? std::nullopt : std::optional(it->second);
}

void write_held_out(const fs::path& file, const HeldOutLogits& held_out) {
  make_folder(file.parent_path());
  const at::Tensor logits = held_out.logits.contiguous();
  const weights::TensorSource tensors[] = {{kTexts,
                                            weights::DType::kU8,
                                            {static_cast<int64_t>(held_out.texts.size()), 32},
                                            std::as_bytes(std::span(held_out.texts))},
                                           encoder::source_of(kLogits, logits)};
  weights::write_safetensors(file, tensors);
}

std::optional<HeldOutLogits> read_held_out(const fs::path& file, int64_t classes) {
  if (!fs::exists(file)) return std::nullopt;
  const auto source = weights::Safetensors::open(file);
  const weights::TensorView* texts = source.find(kTexts);
  const weights::TensorView* logits = source.find(kLogits);
  if (texts == nullptr || logits == nullptr || texts->dtype != weights::DType::kU8 ||
      texts->shape.size() != 2 || texts->shape[1] != 32 ||
      logits->shape != std::vector<int64_t>{texts->shape[0], classes}) {
    throw Error("E_ST_HELDOUT",
                fmt::format("{}: it does not hold text_sha256 [n, 32] and logits [n, {}]",
                            escaped(file.string()), classes),
                "train the expert again, or remove the file");
  }
  HeldOutLogits held_out;
  held_out.texts.resize(static_cast<size_t>(texts->shape[0]));
  if (!held_out.texts.empty())
    std::memcpy(held_out.texts.data(), texts->data.data(), texts->data.size());
  held_out.logits = encoder::to_tensor(*logits);
  return held_out;
}

}  // namespace moecollab::training
