#include "data/input_buffer.h"

#include <emmintrin.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace moecollab::data {
namespace {

constexpr size_t kLane = sizeof(__m128i);

// Bit i: whether byte i of the lane is `wanted`.
unsigned matches(__m128i lane, char wanted) {
  return static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(lane, _mm_set1_epi8(wanted))));
}

// Sixteen bytes at a time: rows are short, so that a call of memchr for each character costs more
// than it finds.
template <typename... Wanted>
size_t find_any(std::string_view bytes, size_t from, Wanted... wanted) {
  size_t at = from;
  for (; at + kLane <= bytes.size(); at += kLane) {
    const __m128i lane = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes.data() + at));
    const unsigned found = (matches(lane, wanted) | ...);
    if (found != 0) return at + static_cast<size_t>(std::countr_zero(found));
  }
  for (; at < bytes.size(); ++at) {
    if (((bytes[at] == wanted) || ...)) return at;
  }
  return std::string_view::npos;
}

}  // namespace

void InputBuffer::append(std::string_view bytes) {
  if (end_ + bytes.size() > capacity_) {
    const size_t held = size();
    const size_t needed = held + bytes.size();
    // In place if the front has room, so that a stream of small rows never grows the block.
    if (needed > capacity_ / 2) {
      const size_t capacity = std::max<size_t>({needed, 2 * capacity_, size_t{256} << 10});
      auto block = std::make_unique<char[]>(capacity + kPadding);
      if (held > 0) std::memcpy(block.get(), block_.get() + begin_, held);
      block_ = std::move(block);
      capacity_ = capacity;
    } else if (held > 0) {
      std::memmove(block_.get(), block_.get() + begin_, held);
    }
    begin_ = 0;
    end_ = held;
  }
  if (!bytes.empty()) std::memcpy(block_.get() + end_, bytes.data(), bytes.size());
  end_ += bytes.size();
}

size_t find_either(std::string_view bytes, size_t from, char a, char b) {
  return find_any(bytes, from, a, b);
}

size_t find_either(std::string_view bytes, size_t from, char a, char b, char c) {
  return find_any(bytes, from, a, b, c);
}

}  // namespace moecollab::data
