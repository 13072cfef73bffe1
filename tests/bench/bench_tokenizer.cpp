// What tokenising costs by itself: encodes the texts of a file several times, prints a line of JSON
// with the least time. tests/bench/tokenizer.py compares it with Hugging Face's `tokenizers`.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "base/digest.h"
#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/measure.h"
#include "text/tokenizer.h"

namespace moecollab {
namespace {

constexpr int kRuns = 5;
constexpr size_t kChunk = 64;  // texts that a thread takes at once

using Encodings = std::vector<text::Tokenizer::Encoding>;

Encodings encode(const text::Tokenizer& tokenizer, const std::vector<std::string>& texts,
                 int threads, int max_length) {
  Encodings encodings(texts.size());
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t begin = next.fetch_add(kChunk); begin < texts.size();
         begin = next.fetch_add(kChunk)) {
      const size_t end = std::min(begin + kChunk, texts.size());
      for (size_t i = begin; i < end; ++i) encodings[i] = tokenizer.encode(texts[i], max_length);
    }
  };
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back(work);
  work();
  for (std::thread& other : others) other.join();
  return encodings;
}

// SHA-256 of all ids as little-endian int32, one text after the other.
std::string digest_of(const Encodings& encodings) {
  static_assert(std::endian::native == std::endian::little);
  Sha256 digest;
  for (const auto& encoding : encodings) {
    digest.update({reinterpret_cast<const char*>(encoding.ids.data()),
                   encoding.ids.size() * sizeof(int32_t)});
  }
  return to_hex(digest.finish());
}

int run(const fs::path& encoder_folder, const fs::path& file, int threads, int max_length) {
  const auto texts = parse_json(read_file(file, "E_DATA")).get<std::vector<std::string>>();
  double seconds = std::numeric_limits<double>::infinity(), load_seconds = seconds;
  Encodings encodings;
  for (int i = 0; i < kRuns; ++i) {
    Stopwatch watch;
    const auto tokenizer =
        text::Tokenizer::from_folder(encoder_folder, text::SpecialTokens::kSplit);
    load_seconds = std::min(load_seconds, watch.seconds());
    encodings.clear();
    watch.restart();
    encodings = encode(tokenizer, texts, threads, max_length);
    seconds = std::min(seconds, watch.seconds());
  }
  size_t tokens = 0;
  for (const auto& encoding : encodings) tokens += encoding.ids.size();
  fmt::print(R"({{"tokens": {}, "seconds": {:.6f}, "load_seconds": {:.6f}, "sha256": "{}"}})"
             "\n",
             tokens, seconds, load_seconds, digest_of(encodings));
  return 0;
}

}  // namespace
}  // namespace moecollab

int main(int argc, char** argv) {
  const int threads = argc == 5 ? std::atoi(argv[3]) : 0;
  if (threads < 1) {
    fmt::print(stderr,
               "usage: bench_tokenizer ENCODER TEXTS THREADS MAX_LENGTH\n"
               "TEXTS is a JSON array of strings\n");
    return 2;
  }
  try {
    return moecollab::run(argv[1], argv[2], threads, std::atoi(argv[4]));
  } catch (const moecollab::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
