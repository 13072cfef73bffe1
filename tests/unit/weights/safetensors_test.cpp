#include "weights/safetensors.h"

#include <fmt/format.h>

#include "base/files.h"
#include "unit/weights/helpers.h"
#include "weights/file_bytes.h"

namespace moecollab::weights {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

std::vector<int> bytes_of(const TensorView& tensor) {
  std::vector<int> values;
  for (const std::byte b : tensor.data) values.push_back(std::to_integer<int>(b));
  return values;
}

TEST(Safetensors, ReadsTensorsSortedByNameWithTheirBytes) {
  const Safetensors file =
      read(file_of(R"({"b":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},)"
                   R"("a":{"dtype":"I16","shape":[1,2],"data_offsets":[3,7]}})",
                   7));
  ASSERT_EQ(file.tensors().size(), 2u);
  EXPECT_EQ(file.tensors()[0].name, "a");
  EXPECT_EQ(file.tensors()[0].dtype, DType::kI16);
  EXPECT_THAT(file.tensors()[0].shape, ElementsAre(1, 2));
  EXPECT_THAT(bytes_of(file.tensors()[0]), ElementsAre(3, 4, 5, 6));
  EXPECT_EQ(file.tensors()[1].name, "b");
  EXPECT_THAT(bytes_of(file.tensors()[1]), ElementsAre(0, 1, 2));
  EXPECT_EQ(file.file(), "test.safetensors");
}

TEST(Safetensors, FindsByName) {
  const Safetensors file = read(file_of(R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                                        R"("d":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                                        2));
  ASSERT_NE(file.find("d"), nullptr);
  EXPECT_THAT(bytes_of(*file.find("d")), ElementsAre(1));
  for (const char* missing : {"", "a", "c", "e", "bb"}) EXPECT_EQ(file.find(missing), nullptr);
}

TEST(Safetensors, ReadsMetadata) {
  const Safetensors file = read(file_of(R"({"__metadata__":{"k":"v","a":"\u00e9\n"}})"));
  EXPECT_THAT(file.metadata(), ElementsAre(Pair("a", "é\n"), Pair("k", "v")));
  EXPECT_THAT(file.tensors(), IsEmpty());
}

TEST(Safetensors, UnescapesNames) {
  const Safetensors file =
      read(file_of(R"({"a\"\u0062":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1));
  EXPECT_NE(file.find("a\"b"), nullptr);
}

TEST(Safetensors, MovingKeepsTheViews) {
  Safetensors first = read(file_of(R"({"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", 2));
  const TensorView* before = first.find("x");
  Safetensors second = std::move(first);
  EXPECT_EQ(second.find("x"), before);
  second = Safetensors(std::move(second));
  EXPECT_THAT(bytes_of(*second.find("x")), ElementsAre(0, 1));
  static_assert(!std::is_copy_constructible_v<Safetensors>);
}

TEST(Safetensors, AcceptsFilesWithoutTensors) {
  for (const char* header : {"{}", "{}      ", R"({"__metadata__":{}})"}) {
    const Safetensors file = read(file_of(header));
    EXPECT_THAT(file.tensors(), IsEmpty());
    EXPECT_THAT(file.metadata(), IsEmpty());
  }
}

TEST(Safetensors, AcceptsWhiteSpaceAroundTheHeader) {
  const std::string object = R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";
  for (const char* before : {"", " ", "\t\n\r  "}) {
    for (const char* after : {"", "     ", "\n\r\t"}) {
      EXPECT_NE(read(file_of(before + object + after, 1)).find("x"), nullptr);
    }
  }
  EXPECT_NE(read(file_of(object + std::string(1'000'000, ' '), 1)).find("x"), nullptr);
}

TEST(Safetensors, R36_AcceptsScalarsAndEmptyTensors) {
  const Safetensors file =
      read(file_of(R"({"empty":{"dtype":"F32","shape":[2,0,3],"data_offsets":[0,0]},)"
                   R"("scalar":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                   R"("void":{"dtype":"F32","shape":[0],"data_offsets":[4,4]}})",
                   4));
  EXPECT_THAT(file.find("empty")->shape, ElementsAre(2, 0, 3));
  EXPECT_THAT(bytes_of(*file.find("empty")), IsEmpty());
  EXPECT_THAT(file.find("scalar")->shape, IsEmpty());
  EXPECT_THAT(bytes_of(*file.find("scalar")), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(bytes_of(*file.find("void")), IsEmpty());
}

TEST(Safetensors, IgnoresUnknownFieldsOfTensors) {
  const Safetensors file =
      read(file_of(R"({"x":{"note":{"dtype":[1,-2.5,null,{"shape":true}]},"dtype":"U8",)"
                   R"("shape":[1],"data_offsets":[0,1],"more":"text"}})",
                   1));
  EXPECT_EQ(file.find("x")->dtype, DType::kU8);
  EXPECT_THAT(file.find("x")->shape, ElementsAre(1));
}

TEST(Safetensors, AcceptsSubByteTypesThatFillBytes) {
  const Safetensors file =
      read(file_of(R"({"f4":{"dtype":"F4","shape":[2,1],"data_offsets":[0,1]},)"
                   R"("f6":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[1,4]}})",
                   4));
  EXPECT_EQ(file.find("f4")->data.size(), 1u);
  EXPECT_EQ(file.find("f6")->data.size(), 3u);
}

// A third-party header need not be padded, so that elements lie at odd addresses.
TEST(Safetensors, AcceptsMisalignedBuffers) {
  for (size_t padding = 0; padding < 8; ++padding) {
    const Safetensors file = read(file_of(
        R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})" + std::string(padding, ' '),
        8));
    EXPECT_THAT(bytes_of(*file.find("x")), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
  }
}

TEST(Safetensors, NonFiniteValuesAreAcceptedByDefault) {
  std::string bytes = file_of(R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})");
  bytes += std::string("\x00\x00\xC0\x7F\x00\x00\x80\xFF", 8);
  EXPECT_EQ(read(bytes).find("x")->data.size(), 8u);
}

TEST(Safetensors, R38_NonFiniteValuesAreRefusedOnDemand) {
  std::string bytes = file_of(R"({"x.y":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})");
  bytes += std::string("\x00\x00\x80\x3F\x00\x00\x80\xFF", 8);
  const ReadLimits limits{.require_finite = true};
  expect_refused(bytes, "E_ST_NONFINITE", "tensor `x.y`: element 1 of 2", limits);
  bytes.back() = '\x3F';
  EXPECT_NO_THROW(read(bytes, limits));
}

// A file with one tensor `x` of `size` zero bytes but for its first, middle and last one: 1, 2, 3.
std::string one_tensor(size_t size) {
  std::string bytes = file_of(
      fmt::format(R"({{"x":{{"dtype":"U8","shape":[{}],"data_offsets":[0,{}]}}}})", size, size));
  const size_t start = bytes.size();
  bytes.resize(start + size);
  bytes[start] = 1;
  bytes[start + size / 2] = 2;
  bytes.back() = 3;
  return bytes;
}

TEST(Safetensors, OpensSmallFilesInOwnedMemoryAndLargeOnesMapped) {
  const TemporaryFolder folder;
  for (const size_t size : {size_t{100}, static_cast<size_t>(kLargestOwned) + 1}) {
    const fs::path path = folder.path() / "x.safetensors";
    write_file_atomic(path, one_tensor(size));
    const Safetensors file = Safetensors::open(path);
    EXPECT_EQ(file.file(), path.string());
    const auto data = file.find("x")->data;
    ASSERT_EQ(data.size(), size);
    EXPECT_EQ(data.front(), std::byte{1});
    EXPECT_EQ(data[size / 2], std::byte{2});
    EXPECT_EQ(data.back(), std::byte{3});
  }
}

TEST(Safetensors, AMappedFileOutlivesItsReplacement) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "x.safetensors";
  write_file_atomic(path, one_tensor(kLargestOwned + 1));
  const Safetensors file = Safetensors::open(path);
  write_file_atomic(path, "{}");
  EXPECT_EQ(file.find("x")->data.back(), std::byte{3});
}

TEST(Safetensors, UnreadablePathsAreRefused) {
  const TemporaryFolder folder;
  const auto expect_io = [](const fs::path& path, const std::string& text) {
    try {
      Safetensors::open(path);
      ADD_FAILURE() << path;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), "E_ST_IO");
      EXPECT_THAT(error.what(), testing::HasSubstr(path.string()));
      EXPECT_THAT(error.what(), testing::HasSubstr(text));
    }
  };
  expect_io(folder.path() / "missing", "No such file");
  expect_io(folder.path(), "it is a folder");
}

TEST(Safetensors, RefusalsOfMappedFilesNameTheFile) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "cut.safetensors";
  std::string bytes = one_tensor(kLargestOwned + 1);
  bytes.pop_back();
  write_file_atomic(path, bytes);
  expect_refusal([&] { Safetensors::open(path); }, "E_ST_METADATA_INCOMPLETE_BUFFER",
                 path.string());
}

}  // namespace
}  // namespace moecollab::weights
