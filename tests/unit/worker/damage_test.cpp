// Damaged libraries whose digests were made to match: the reader refuses them, or their processes
// take the consequences.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <random>

#include "unit/worker/plain_client.h"

namespace moecollab::worker {
namespace {

const fs::path kPeaceful = fs::path(MOECOLLAB_HOSTILE_ZOO) / "libhostile_is_peaceful_at_forward.so";

// A copy with some bytes changed, a stretch of zeros, or its end cut off.
std::string damaged(std::string bytes, std::mt19937_64& draw) {
  const size_t at = draw() % bytes.size();
  switch (draw() % 4) {
    case 0:
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << draw() % 8));
      break;
    case 1:
      for (int i = 0; i < 32; ++i) bytes[draw() % bytes.size()] = static_cast<char>(draw() % 256);
      break;
    case 2:
      std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                  std::min<size_t>(256, bytes.size() - at), '\0');
      break;
    default:
      bytes.resize(std::max<size_t>(at, 1));
  }
  return bytes;
}

// What became of a library: "answered", "ended", or the code of its refusal.
std::string fate(const fs::path& library) {
  ProcessLimits limits;
  limits.call = std::chrono::milliseconds(500);
  limits.memory = uint64_t{256} << 20;
  try {
    PlainClient client(library, limits);
    return client.answers({"a text", "another"}).size() == 4 ? "answered" : "nonsense";
  } catch (const ProcessEnded&) {
    return "ended";
  } catch (const Error& error) {
    return error.code();
  }
}

TEST(DamagedLibraries, R12_NoneHurtsTheHost) {
  const int count = std::getenv("MOECOLLAB_SOAK") != nullptr ? 2000 : 200;
  const std::string whole = read_file(kPeaceful, "E_TEST");
  const TemporaryFolder folder;
  std::mt19937_64 draw(11);
  std::map<std::string, int> fates;
  for (int i = 0; i < count; ++i) {
    const fs::path file = folder.path() / "damaged.so";
    write_file_atomic(file, damaged(whole, draw));
    ++fates[fate(file)];
  }
  for (const auto& [what, number] : fates) RecordProperty(what, number);
  // All three happen: damage that the reader sees, damage that ends the process, and damage of
  // bytes that nobody needs.
  EXPECT_GT(fates["E_ELF_BOUNDS"], 0);
  EXPECT_GT(fates["ended"], 0);
  EXPECT_GT(fates["answered"], 0);
  EXPECT_EQ(fates["nonsense"], 0);
  EXPECT_EQ(fate(kPeaceful), "answered");
}

}  // namespace
}  // namespace moecollab::worker
