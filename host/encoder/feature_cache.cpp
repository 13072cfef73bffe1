#include "encoder/feature_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "base/error.h"
#include "base/strings.h"
#include "weights/writer.h"

namespace moecollab::encoder {
namespace {

constexpr const char* kDigests = "text_sha256";
constexpr const char* kFeatures = "features";
constexpr const char* kContent = "content_sha256";

std::string_view as_bytes(std::span<const std::byte> data) {
  return {reinterpret_cast<const char*>(data.data()), data.size()};
}

std::string content_digest(std::string_view digests, std::string_view features) {
  return to_hex(Sha256().update(digests).update(features).finish());
}

}  // namespace

size_t FeatureCache::DigestHash::operator()(const Digest& d) const {
  size_t hash;
  std::memcpy(&hash, d.data(), sizeof hash);
  return hash;
}

FeatureCache::FeatureCache(fs::path folder, std::string engine, Log log, uint64_t capacity)
    : folder_(std::move(folder)), engine_(std::move(engine)), log_(log), capacity_(capacity) {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) {
    throw Error("E_WRITE",
                fmt::format("the feature cache {} cannot be made: {}", escaped(folder_.string()),
                            error.message()),
                "name another folder with --cache-dir, or use --no-cache");
  }
}

std::string FeatureCache::key_of(const std::string& fingerprint, const PooledKey& key) const {
  return sha256_hex(fmt::format("{}\nlayer {}\npooling {}\n{}", fingerprint, key.layer,
                                name(key.pooling), engine_));
}

const float* FeatureCache::find(const std::string& fingerprint, const PooledKey& key,
                                int64_t hidden, const Digest& text) {
  const Shelf& all = shelf(key_of(fingerprint, key), hidden);
  const auto it = all.rows.find(text);
  return it == all.rows.end() ? nullptr : it->second;
}

FeatureCache::Shelf& FeatureCache::shelf(const std::string& key, int64_t hidden) {
  const auto [it, fresh] = shelves_.try_emplace(key);
  if (fresh) {
    std::vector<fs::path> files;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(folder_ / key, none)) {
      if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    for (const fs::path& file : files) open_file(file, hidden, it->second);
  }
  return it->second;
}

void FeatureCache::open_file(const fs::path& file, int64_t hidden, Shelf& into) {
  try {
    auto opened = std::make_unique<weights::Safetensors>(weights::Safetensors::open(file));
    const weights::TensorView* digests = opened->find(kDigests);
    const weights::TensorView* features = opened->find(kFeatures);
    const auto content = opened->metadata().find(kContent);
    if (digests == nullptr || features == nullptr || content == opened->metadata().end() ||
        features->dtype != weights::DType::kF32 || digests->dtype != weights::DType::kU8 ||
        features->shape.size() != 2 || features->shape[1] != hidden ||
        digests->shape != std::vector<int64_t>{features->shape[0], 32} ||
        reinterpret_cast<uintptr_t>(features->data.data()) % alignof(float) != 0) {
      throw Error("E_ST_CACHE", "it does not hold what its key says");
    }
    if (content_digest(as_bytes(digests->data), as_bytes(features->data)) != content->second) {
      throw Error("E_ST_CACHE", "its content has another SHA-256 than it says");
    }
    const auto* rows = reinterpret_cast<const float*>(features->data.data());
    for (int64_t i = 0; i < features->shape[0]; ++i) {
      Digest digest;
      std::memcpy(digest.data(), digests->data.data() + i * 32, 32);
      into.rows.try_emplace(digest, rows + i * hidden);
    }
    into.files.push_back(std::move(opened));
  } catch (const Error& error) {
    log_.warning(fmt::format(
        "feature cache: {} is damaged ({}); it is removed and its texts are encoded again",
        escaped(file.string()), error.what()));
    std::error_code ignored;
    fs::remove(file, ignored);
  }
}

at::Tensor FeatureCache::settle(const std::string& fingerprint, const PooledKey& key,
                                std::span<const std::string_view> texts,
                                const at::Tensor& features) {
  const int64_t hidden = features.size(1);
  std::vector<Digest> digests;
  std::vector<int64_t> fresh;
  std::set<Digest> seen;
  std::string fresh_digests;
  for (const std::string_view text : texts) {
    const Digest& digest = digests.emplace_back(sha256(text));
    if (find(fingerprint, key, hidden, digest) != nullptr || !seen.insert(digest).second) continue;
    fresh.push_back(static_cast<int64_t>(digests.size()) - 1);
    fresh_digests.append(reinterpret_cast<const char*>(digest.data()), digest.size());
  }
  if (!fresh.empty())
    add(key_of(fingerprint, key), fresh_digests, features.index_select(0, index_tensor(fresh)));
  at::Tensor settled = features.clone(at::MemoryFormat::Contiguous);
  for (size_t i = 0; i < digests.size(); ++i) {
    const float* held = find(fingerprint, key, hidden, digests[i]);
    if (held == nullptr) continue;  // beyond the capacity
    std::copy_n(held, hidden, settled.mutable_data_ptr<float>() + static_cast<int64_t>(i) * hidden);
  }
  return settled;
}

void FeatureCache::add(const std::string& shelf_key, std::string_view digests,
                       const at::Tensor& rows) {
  if (!writable_) return;
  try {
    write(shelf_key, digests, rows);
  } catch (const Error& error) {
    if (error.code() != "E_WRITE") throw;
    writable_ = false;
    log_.warning(fmt::format("features are not cached any more: {}", error.what()), error.hint());
  }
}

void FeatureCache::write(const std::string& shelf_key, std::string_view digests,
                         const at::Tensor& rows) {
  const int64_t n = rows.size(0), hidden = rows.size(1);
  const std::string_view values(static_cast<const char*>(rows.const_data_ptr()), rows.nbytes());
  const std::string content = content_digest(digests, values);
  make_folder(folder_ / shelf_key);
  const fs::path file = folder_ / shelf_key / (content.substr(0, 32) + ".safetensors");
  const auto bytes = [](std::string_view text) { return std::as_bytes(std::span(text)); };
  const weights::TensorSource tensors[] = {
      {kDigests, weights::DType::kU8, {n, 32}, bytes(digests)},
      {kFeatures, weights::DType::kF32, {n, hidden}, bytes(values)}};
  weights::write_safetensors(file, tensors, {{kContent, content}});
  open_file(file, hidden, shelf(shelf_key, hidden));
  enforce_capacity();
}

void FeatureCache::enforce_capacity() {
  struct File {
    fs::file_time_type time;
    uint64_t size;
    fs::path path;
  };
  std::vector<File> files;
  uint64_t total = 0;
  std::error_code error;  // of a folder or file that another process removes, or does not show
  fs::recursive_directory_iterator entries(folder_, error);
  for (; !error && entries != fs::recursive_directory_iterator(); entries.increment(error)) {
    if (entries->path().extension() != ".safetensors") continue;
    std::error_code gone;
    const File file{entries->last_write_time(gone), entries->file_size(gone), entries->path()};
    if (gone) continue;
    files.push_back(file);
    total += file.size;
  }
  std::sort(files.begin(), files.end(),
            [](const File& a, const File& b) { return a.time < b.time; });
  std::error_code ignored;
  for (const File& file : files) {
    if (total <= capacity_) return;
    fs::remove(file.path, ignored);  // a mapping that is still open stays readable
    total -= file.size;
  }
}

}  // namespace moecollab::encoder
