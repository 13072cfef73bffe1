// Pooled features on disk, so that the frozen encoder runs once per text in a lifetime.
#pragma once

#include <ATen/ATen.h>

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/digest.h"
#include "base/files.h"
#include "base/run_context.h"
#include "encoder/features.h"
#include "weights/safetensors.h"

namespace moecollab::encoder {

// FOLDER/<key>/<digest>.safetensors, one file per run that added rows, holding `text_sha256` [n,
// 32] and `features` [n, H]. The key is the digest of all that the numbers depend on beside the
// text: encoder fingerprint, layer, pooling, precision, device class and engine version. Every
// file's content digest is checked when it is opened; a damaged file is reported and removed, and
// its rows are computed again. Not thread-safe; several processes may share a folder.
class FeatureCache {
 public:
  // Makes the folder; throws E_WRITE. `engine`: precision, device class and versions as one string.
  // `capacity` in bytes: the oldest files beyond it are removed when rows are added.
  FeatureCache(fs::path folder, std::string engine, Log log, uint64_t capacity = uint64_t{4} << 30);

  // The row [hidden] of the text with that digest, or nullptr. Valid until the next add().
  const float* find(const std::string& fingerprint, const PooledKey& key, int64_t hidden,
                    const Digest& text);

  // Adds the rows of features [n, H] whose texts it does not hold (none after a warning, if they
  // cannot be written), and gives all rows as it holds
  // them: the first that was ever added for a text counts, so that its numbers never depend on what
  // it was computed together with.
  at::Tensor settle(const std::string& fingerprint, const PooledKey& key,
                    std::span<const std::string_view> texts, const at::Tensor& features);

 private:
  struct DigestHash {
    size_t operator()(const Digest& d) const;
  };
  struct Shelf {
    std::vector<std::unique_ptr<weights::Safetensors>> files;
    std::unordered_map<Digest, const float*, DigestHash> rows;
  };
  Shelf& shelf(const std::string& key, int64_t hidden);
  void add(const std::string& shelf_key, std::string_view digests, const at::Tensor& rows);
  void write(const std::string& shelf_key, std::string_view digests, const at::Tensor& rows);
  void open_file(const fs::path& file, int64_t hidden, Shelf& into);
  void enforce_capacity();
  std::string key_of(const std::string& fingerprint, const PooledKey& key) const;

  fs::path folder_;
  std::string engine_;
  Log log_;
  uint64_t capacity_;
  bool writable_ = true;  // until a write failed
  std::map<std::string, Shelf> shelves_;
};

}  // namespace moecollab::encoder
