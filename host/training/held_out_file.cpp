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
constexpr const char* kSeen = "seen_sha256";

constexpr int64_t kDigestBytes = sizeof(Digest);

std::string key(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

weights::TensorSource source_of(const char* name, const std::vector<Digest>& digests) {
  return {name,
          weights::DType::kU8,
          {static_cast<int64_t>(digests.size()), kDigestBytes},
          std::as_bytes(std::span(digests))};
}

bool are_digests(const weights::TensorView& tensor) {
  return tensor.dtype == weights::DType::kU8 && tensor.shape.size() == 2 &&
         tensor.shape[1] == kDigestBytes;
}

std::vector<Digest> digests_of(const weights::TensorView& tensor) {
  std::vector<Digest> digests(static_cast<size_t>(tensor.shape[0]));
  if (!digests.empty()) std::memcpy(digests.data(), tensor.data.data(), tensor.data.size());
  return digests;
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
  std::vector<weights::TensorSource> tensors = {source_of(kTexts, held_out.texts),
                                                encoder::source_of(kLogits, logits)};
  if (!held_out.seen.empty()) tensors.push_back(source_of(kSeen, held_out.seen));
  weights::write_safetensors(file, tensors);
}

std::optional<HeldOutLogits> read_held_out(const fs::path& file, int64_t classes) {
  if (!fs::exists(file)) return std::nullopt;
  const auto source = weights::Safetensors::open(file);
  const weights::TensorView* texts = source.find(kTexts);
  const weights::TensorView* logits = source.find(kLogits);
  if (texts == nullptr || logits == nullptr || !are_digests(*texts) ||
      logits->shape != std::vector<int64_t>{texts->shape[0], classes}) {
    throw Error("E_ST_HELDOUT",
                fmt::format("{}: it does not hold text_sha256 [n, 32] and logits [n, {}]",
                            escaped(file.string()), classes),
                "train the expert again, or remove the file");
  }
  HeldOutLogits held_out;
  held_out.texts = digests_of(*texts);
  if (const weights::TensorView* seen = source.find(kSeen); seen != nullptr && are_digests(*seen))
    held_out.seen = digests_of(*seen);
  held_out.logits = encoder::to_tensor(*logits);
  return held_out;
}

}  // namespace moecollab::training
