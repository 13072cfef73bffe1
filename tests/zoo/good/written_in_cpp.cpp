// Written with the C++ helper, with libstdc++ linked statically: strings, containers, and an
// exception that is thrown and caught inside.
#include <map>
#include <moecollab/expert.hpp>
#include <string>

class Words final : public moecollab::Expert {
 public:
  explicit Words(const moecollab::CreateInfo& info) : classes_(info.classes()) {}

  void forward(const moecollab::Batch& in, moecollab::Logits& out) override {
    for (int64_t row = 0; row < in.rows(); ++row) {
      std::map<std::string, int> counts;
      std::string word;
      for (const char c : std::string(in.text(row)) + " ") {
        if (c == ' ') {
          ++counts[word];
          word.clear();
        } else {
          word += c;
        }
      }
      for (int64_t c = 0; c < classes_; ++c) {
        try {
          out(row, c) = static_cast<float>(counts.at(std::string(1, static_cast<char>('a' + c))));
        } catch (const std::out_of_range&) {
          out(row, c) = -static_cast<float>(counts.size()) / static_cast<float>(c + 2);
        }
      }
    }
  }

 private:
  int64_t classes_;
};

MOECOLLAB_LIBRARY(Words, "org.moecollab.zoo", "1.0.0", moecollab::Input::text);
