#include "ngrams.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <set>

namespace moecollab::lexical {
namespace {

// Words and characters hash into the same buckets, from different starting values.
constexpr uint64_t kWordSeed = 0xCBF29CE484222325U, kCharacterSeed = 0x84222325CBF29CE4U;

// FNV-1a, one byte on.
uint64_t extend(uint64_t hash, char byte) {
  return (hash ^ static_cast<unsigned char>(byte)) * 0x100000001B3U;
}

// Spreads FNV's entropy to all bits (the finaliser of MurmurHash3).
uint64_t mix(uint64_t h) {
  h = (h ^ (h >> 33)) * 0xFF51AFD7ED558CCDU;
  h = (h ^ (h >> 33)) * 0xC4CEB9FE1A85EC53U;
  return h ^ (h >> 33);
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_word(char c) {
  const char l = lower(c);
  return (l >= 'a' && l <= 'z') || (l >= '0' && l <= '9') || l == '\'' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool starts_character(char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }

// Calls visit(run) for each longest run of bytes that `belongs` accepts.
template <typename Belongs, typename Visit>
void for_each_run(std::string_view text, Belongs belongs, Visit visit) {
  for (size_t i = 0; i < text.size();) {
    const size_t start = i;
    while (i < text.size() && belongs(text[i])) ++i;
    if (i > start) visit(text.substr(start, i - start));
    while (i < text.size() && !belongs(text[i])) ++i;
  }
}

}  // namespace

void NgramReader::append_words(std::string_view text, std::vector<Feature>& features) {
  if (options_.word_max == 0) return;
  read_words(text);
  append_counts(features);
}

void NgramReader::append_characters(std::string_view text, std::vector<Feature>& features) {
  if (options_.char_max == 0) return;
  read_characters(text);
  append_counts(features);
}

std::vector<NgramReader::Place> NgramReader::places(std::string_view text) {
  std::vector<Place> places;
  std::vector<Run> runs;
  std::set<uint32_t> seen;
  const auto take = [&](bool is_words) {
    seen.clear();
    for (size_t i = 0; i < hits_.size(); ++i) {
      if (seen.insert(hits_[i]).second)
        places.push_back({hits_[i], is_words, runs[i].begin, runs[i].end});
    }
    runs.clear();
  };
  // Also if an allocation fails, the reader does not point to what is gone.
  const struct Forget {
    std::vector<Run>*& places;
    ~Forget() { places = nullptr; }
  } forget{runs_};
  runs_ = &runs;
  if (options_.word_max > 0) {
    read_words(text);
    take(true);
  }
  if (options_.char_max > 0) {
    read_characters(text);
    take(false);
  }
  return places;
}

void NgramReader::read_words(std::string_view text) {
  hits_.clear();  // an allocation may have failed in the middle of the last text
  words_.clear();
  word_runs_.clear();
  for_each_run(text, is_word, [&](std::string_view run) {
    std::string& word = words_.emplace_back(run);
    std::transform(word.begin(), word.end(), word.begin(), lower);
    const auto begin = static_cast<size_t>(run.data() - text.data());
    word_runs_.push_back({begin, begin + run.size()});
  });
  for (size_t first = 0; first < words_.size(); ++first) {
    const size_t end = std::min(words_.size(), first + static_cast<size_t>(options_.word_max));
    uint64_t hash = kWordSeed;
    for (size_t w = first; w < end; ++w) {
      for (const char c : words_[w]) hash = extend(hash, c);
      add(hash, word_runs_[first].begin, word_runs_[w].end);
      hash = extend(hash, ' ');
    }
  }
}

void NgramReader::read_characters(std::string_view text) {
  hits_.clear();
  std::string padded;
  for_each_run(
      text, [](char c) { return !is_space(c); },
      [&](std::string_view run) {
        padded.assign(1, ' ');
        for (const char c : run) padded += lower(c);
        add_characters(padded += ' ', static_cast<size_t>(run.data() - text.data()));
      });
}

// `begin`: of the run in the text, which stands in `padded` between two spaces.
void NgramReader::add_characters(std::string_view padded, size_t begin) {
  starts_.clear();
  for (size_t i = 0; i < padded.size(); ++i) {
    if (starts_character(padded[i])) starts_.push_back(i);
  }
  starts_.push_back(padded.size());
  const size_t characters = starts_.size() - 1;
  const size_t shortest = static_cast<size_t>(options_.char_min);
  const size_t longest = static_cast<size_t>(options_.char_max);
  for (size_t first = 0; first + shortest <= characters; ++first) {
    uint64_t hash = kCharacterSeed;
    const size_t end = std::min(characters, first + longest);
    for (size_t c = first; c < end; ++c) {
      for (size_t i = starts_[c]; i < starts_[c + 1]; ++i) hash = extend(hash, padded[i]);
      if (c - first + 1 < shortest) continue;
      const size_t from = std::max<size_t>(starts_[first], 1) - 1;
      add(hash, begin + from, begin + std::min(starts_[c + 1], padded.size() - 1) - 1);
    }
  }
}

void NgramReader::add(uint64_t hash, size_t begin, size_t end) {
  if (runs_ != nullptr) runs_->push_back({begin, end});
  // The upper half, scaled to [0, buckets).
  hits_.push_back(
      static_cast<uint32_t>(((mix(hash) >> 32) * static_cast<uint64_t>(options_.buckets)) >> 32));
}

// By digits: the few hundred hits of a text are in no order, and comparing them would take most of
// the reader's time.
void NgramReader::sort_hits() {
  constexpr int kBits = 9;
  sorted_.resize(hits_.size());
  for (int shift = 0; options_.buckets >> shift > 0; shift += kBits) {
    const auto digit = [shift](uint32_t hit) { return (hit >> shift) & ((1U << kBits) - 1); };
    std::array<size_t, (1U << kBits) + 1> start{};
    for (const uint32_t hit : hits_) ++start[digit(hit) + 1];
    std::partial_sum(start.begin(), start.end(), start.begin());
    for (const uint32_t hit : hits_) sorted_[start[digit(hit)]++] = hit;
    hits_.swap(sorted_);
  }
}

void NgramReader::append_counts(std::vector<Feature>& features) {
  sort_hits();
  for (size_t i = 0; i < hits_.size();) {
    const size_t start = i;
    while (i < hits_.size() && hits_[i] == hits_[start]) ++i;
    const float count = static_cast<float>(i - start);
    features.push_back({hits_[start], count == 1.0F ? 1.0F : 1.0F + std::log(count)});
  }
}

}  // namespace moecollab::lexical
