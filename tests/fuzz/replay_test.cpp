// Each parser on its seed and on damaged copies of it, drawn by seed: 200 each, and a hundred times
// as many in `make soak` (MOECOLLAB_SOAK). `make fuzz` looks for what no draw finds.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "fuzz/parsers.h"

namespace moecollab::fuzz {
namespace {

constexpr int kDraws = 200;

class Replay : public testing::TestWithParam<Parser> {};

// A cut, and up to eight bytes replaced, removed or doubled.
std::string damaged(std::string bytes, std::mt19937& draw) {
  if (draw() % 5 == 0) bytes.resize(draw() % bytes.size());
  for (uint32_t changes = draw() % 8 + 1; changes > 0 && !bytes.empty(); --changes) {
    const size_t at = draw() % bytes.size();
    switch (draw() % 3) {
      case 0:
        bytes[at] = static_cast<char>(draw());
        break;
      case 1:
        bytes.erase(at, draw() % 4 + 1);
        break;
      default:
        bytes.insert(at, bytes.substr(at, draw() % 16 + 1));
    }
  }
  return bytes;
}

TEST_P(Replay, TheSeedIsValid) {
  const std::string seed = GetParam().seed();
  EXPECT_NO_THROW(GetParam().parse(seed));
}

TEST_P(Replay, DamagedCopiesAreReadOrRefused) {
  const std::string seed = GetParam().seed();
  std::mt19937 draw(20260101);
  const int draws = std::getenv("MOECOLLAB_SOAK") != nullptr ? 100 * kDraws : kDraws;
  for (int i = 0; i < draws; ++i) {
    const std::string bytes = damaged(seed, draw);
    ASSERT_NO_THROW(try_parser(GetParam(), bytes)) << "draw " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Parsers, Replay, testing::ValuesIn(parsers().begin(), parsers().end()),
                         [](const auto& made) { return std::string(made.param.name); });

}  // namespace
}  // namespace moecollab::fuzz
