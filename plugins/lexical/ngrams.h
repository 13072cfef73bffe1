// A text as counts of hashed word and character n-grams.
#ifndef MOECOLLAB_LEXICAL_NGRAMS_H_
#define MOECOLLAB_LEXICAL_NGRAMS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace moecollab::lexical {

struct NgramOptions {
  int64_t buckets;
  int64_t word_max;            // n-grams of 1 to word_max words; 0: none
  int64_t char_min, char_max;  // n-grams of that many characters; char_max 0: none
};

struct Feature {
  uint32_t bucket;
  float value;
};

// Not thread-safe: it keeps its buffers from call to call.
class NgramReader {
 public:
  explicit NgramReader(const NgramOptions& options) : options_(options) {}

  // Appends the text's n-grams, each bucket once and in rising order, with the value 1 + ln(count).
  // ASCII letters are lower-cased. A word is a run of ASCII letters, digits, apostrophes and any
  // bytes from 0x80 on.
  void append_words(std::string_view text, std::vector<Feature>& features);
  // The same for the characters (UTF-8 code points) of each run without white space, with one space
  // before and after it.
  void append_characters(std::string_view text, std::vector<Feature>& features);

  // Where a bucket's n-gram stands in the text: its first place, in bytes [begin, end).
  struct Place {
    uint32_t bucket;
    bool is_words;  // of words, or of characters
    size_t begin, end;
  };
  // Every n-gram of the text, each bucket of either kind once, in the order of the text.
  std::vector<Place> places(std::string_view text);

 private:
  struct Run {
    size_t begin, end;  // bytes of the text
  };

  void read_words(std::string_view text);
  void read_characters(std::string_view text);
  void append_counts(std::vector<Feature>& features);
  void sort_hits();
  void add_characters(std::string_view padded, size_t begin);
  // `begin` and `end` of the n-gram in the text.
  void add(uint64_t hash, size_t begin, size_t end);

  NgramOptions options_;
  std::vector<Run>* runs_ = nullptr;  // gets the place of each hit, if anybody asks
  std::vector<uint32_t> hits_;        // buckets of the n-grams read, with repeats
  std::vector<uint32_t> sorted_;      // what sort_hits() works in
  std::vector<std::string> words_;
  std::vector<Run> word_runs_;
  std::vector<size_t> starts_;
};

}  // namespace moecollab::lexical

#endif  // MOECOLLAB_LEXICAL_NGRAMS_H_
