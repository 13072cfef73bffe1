// Questions and statements, by their marks and first words. Nothing is learnt.
#include <algorithm>
#include <array>
#include <cctype>
#include <moecollab/expert.hpp>

namespace {
using namespace moecollab;

constexpr std::array<std::string_view, 12> kFirstWords = {
    "who", "what", "when", "where", "why", "how", "which", "is", "are", "do", "does", "can"};

// Whether the text begins with the word, in any case.
bool begins_with(std::string_view text, std::string_view word) {
  if (text.size() < word.size()) return false;
  if (text.size() > word.size() && std::isalpha(static_cast<unsigned char>(text[word.size()])))
    return false;
  return std::equal(word.begin(), word.end(), text.begin(), [](char a, char b) {
    return a == std::tolower(static_cast<unsigned char>(b));
  });
}

class @CLASS@ final : public Expert {
 public:
  explicit @CLASS@(const CreateInfo& info) {
    if (info.classes() != 2) throw std::invalid_argument("questions and statements: two labels");
    if (info.has_weights()) throw std::invalid_argument("this expert has no weights");
  }

  // A row's result may depend on its own text alone.
  void forward(const Batch& in, Logits& out) override {
    for (int64_t r = 0; r < in.rows(); ++r) {
      const std::string_view text = in.text(r);
      const bool asks = std::any_of(kFirstWords.begin(), kFirstWords.end(),
                                    [&](std::string_view word) { return begins_with(text, word); });
      out.row(r)[0] = (asks ? 1.0F : 0.0F) + (text.find('?') != text.npos ? 4.0F : 0.0F);
      out.row(r)[1] = 1.0F;
    }
  }
};
}  // namespace

MOECOLLAB_LIBRARY(@CLASS@, "@ID@", "1.0.0", Input::text);
