// R-33: a hostile header takes little memory. Counts what this binary allocates with `new`.
#include <fmt/format.h>
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "unit/weights/helpers.h"

namespace {

std::atomic<size_t> live{0};
std::atomic<size_t> peak{0};

void* counted(size_t size) {
  void* block = std::malloc(size == 0 ? 1 : size);
  if (block == nullptr) throw std::bad_alloc();
  const size_t now = live += malloc_usable_size(block);
  if (now > peak) peak = now;
  return block;
}

void uncounted(void* block) noexcept {
  if (block != nullptr) live -= malloc_usable_size(block);
  std::free(block);
}

}  // namespace

void* operator new(size_t size) { return counted(size); }
void* operator new[](size_t size) { return counted(size); }
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  try {
    return counted(size);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void operator delete(void* block) noexcept { uncounted(block); }
void operator delete[](void* block) noexcept { uncounted(block); }
void operator delete(void* block, size_t) noexcept { uncounted(block); }
void operator delete[](void* block, size_t) noexcept { uncounted(block); }

namespace moecollab::weights {
namespace {

// Most bytes in use at once while the header is read, whatever comes of it.
size_t memory_for(const std::string& header) {
  const size_t before = live;
  peak = before;
  try {
    parse_header(header, "test.safetensors", {});
  } catch (const Error&) {
  }
  return peak - before;
}

void expect_little_memory(const char* what, const std::string& header) {
  EXPECT_LE(memory_for(header), 4 * header.size() + (size_t{32} << 20))
      << what << ", a header of " << header.size() << " bytes";
}

std::string repeated(std::string_view text, size_t bytes) {
  std::string all;
  while (all.size() < bytes) all += text;
  return all;
}

constexpr size_t kMegabyte = size_t{1} << 20;

TEST(Memory, R33_LongTokensAndBlanks) {
  expect_little_memory("an open string", "{\"" + std::string(20 * kMegabyte, 'x'));
  expect_little_memory("line feeds", std::string(5 * kMegabyte, '\n') + "x");
  expect_little_memory("strings of the largest size",
                       "{\"__metadata__\":{\"a\":\"" + std::string(4 * kMegabyte, 'x') +
                           "\",\"b\":\"" + std::string(4 * kMegabyte - 1, 'x') + "\n");
}

TEST(Memory, R33_ManySmallThings) {
  expect_little_memory("dimensions", R"({"x":{"shape":[)" + repeated("0,", 6 * kMegabyte));
  expect_little_memory("levels", R"({"x":{"y":)" + repeated("[", 6 * kMegabyte));
  std::string tensors = "{";
  std::string metadata = R"({"__metadata__":{)";
  for (size_t i = 0; i <= 100'000; ++i) {
    tensors += fmt::format(R"("{}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}},)", i);
    metadata += fmt::format(R"("{}":"",)", i);
  }
  expect_little_memory("tensors", tensors);
  expect_little_memory("metadata", metadata);
}

}  // namespace
}  // namespace moecollab::weights
