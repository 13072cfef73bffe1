#include "data/text_decoder.h"

#include <stdexcept>
#include <string>
#include <utility>

#include "text/unicode.h"

namespace moecollab::data {
namespace {

constexpr std::string_view kUtf8Mark = "\xEF\xBB\xBF";
constexpr std::string_view kLittleMark = "\xFF\xFE";
constexpr std::string_view kBigMark = "\xFE\xFF";

bool may_become(std::string_view head, std::string_view mark) {
  return head.size() < mark.size() && mark.starts_with(head);
}

}  // namespace

std::string_view TextDecoder::feed(std::string_view bytes) {
  if (encoding_ == Encoding::kUtf8) return bytes;
  if (encoding_ != Encoding::kUnknown) return convert(bytes);
  head_ += bytes;
  return recognise(/*finished=*/false) ? convert(std::exchange(head_, {})) : std::string_view();
}

std::string_view TextDecoder::finish() {
  out_.clear();
  if (encoding_ == Encoding::kUnknown && recognise(/*finished=*/true)) {
    convert(std::exchange(head_, {}));
  }
  if (encoding_ == Encoding::kUtf8) return out_;
  if (high_ != 0 || !head_.empty()) {
    high_ = 0;
    head_.clear();
    ++replaced_;
    put(text::kReplacement);
  }
  return out_;
}

// Settles the encoding by the first bytes and drops their mark; false if more are needed.
bool TextDecoder::recognise(bool finished) {
  const std::string_view head = head_;
  if (head.empty()) return false;
  if (head.size() < 4 && !finished) {
    // An ASCII character followed by another one is no UTF-16, and no mark.
    const bool undecided = head.size() == 1 || may_become(head, kUtf8Mark) ||
                           head.starts_with(kLittleMark) || head.starts_with(kBigMark) ||
                           head.find('\0') != head.npos;
    if (undecided) return false;
  }
  using namespace std::string_view_literals;
  if (head.starts_with("\xFF\xFE\0\0"sv) || head.starts_with("\0\0\xFE\xFF"sv)) {
    throw std::invalid_argument("it is UTF-32");
  }
  size_t mark = 0;
  encoding_ = Encoding::kUtf8;
  if (head.starts_with(kUtf8Mark)) {
    mark = kUtf8Mark.size();
  } else if (head.starts_with(kLittleMark) || head.starts_with(kBigMark)) {
    mark = 2;
    encoding_ = head.starts_with(kLittleMark) ? Encoding::kUtf16Little : Encoding::kUtf16Big;
  } else if (head.size() >= 4) {
    if (head[0] > 0 && head[1] == 0 && head[2] > 0 && head[3] == 0) {
      encoding_ = Encoding::kUtf16Little;
    } else if (head[0] == 0 && head[1] > 0 && head[2] == 0 && head[3] > 0) {
      encoding_ = Encoding::kUtf16Big;
    }
  }
  utf16_ = encoding_ != Encoding::kUtf8;
  head_.erase(0, mark);
  return true;
}

std::string_view TextDecoder::convert(std::string_view bytes) {
  out_.clear();
  if (encoding_ == Encoding::kUtf8) return out_ = bytes;
  head_ += bytes;
  size_t at = 0;
  for (; at + 2 <= head_.size(); at += 2) {
    const auto first = static_cast<unsigned char>(head_[at]);
    const auto second = static_cast<unsigned char>(head_[at + 1]);
    const uint32_t unit =
        encoding_ == Encoding::kUtf16Little ? first | second << 8 : first << 8 | second;
    const bool low = unit >= 0xDC00 && unit <= 0xDFFF;
    if (high_ != 0 && low) {
      put(0x10000 + ((high_ - 0xD800) << 10) + (unit - 0xDC00));
      high_ = 0;
      continue;
    }
    if (std::exchange(high_, 0) != 0 || low) {
      ++replaced_;
      put(text::kReplacement);
      if (low) continue;
    }
    if (unit >= 0xD800 && unit <= 0xDBFF) {
      high_ = unit;
    } else {
      put(unit);
    }
  }
  head_.erase(0, at);
  return out_;
}

void TextDecoder::put(char32_t c) { text::append_utf8(c, &out_); }

}  // namespace moecollab::data
