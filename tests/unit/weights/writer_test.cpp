#include "weights/writer.h"

#include <sys/resource.h>

#include <csignal>
#include <stdexcept>

#include "base/files.h"
#include "unit/weights/helpers.h"
#include "weights/convert.h"

namespace moecollab::weights {
namespace {

using testing::ElementsAre;
using testing::Pair;

// What the reference, safetensors 0.8.0, makes of the tensors and metadata below:
//   safetensors.numpy.save({"b": np.arange(3, dtype=np.float32), "a": np.array(2, np.float32),
//     "c": np.zeros((0, 2), np.int64), "h": np.array([[1], [-2]], np.float16),
//     'i"é\x01': np.array([7, 255, 1], np.uint8), "B": np.array([1.5], np.float64),
//     "t": np.array([True, False]), "u": np.array([65535], np.uint16)},
//     {"format": 'a\n"é/\x7f\\\x1f\u2028'})
constexpr std::string_view kGoldenHex =
    "f8010000000000007b225f5f6d657461646174615f5f223a7b22666f726d6174223a22615c6e5c22c3a92f7f5c"
    "5c5c7530303166e280a8227d2c2263223a7b226474797065223a22493634222c227368617065223a5b302c325d"
    "2c22646174615f6f666673657473223a5b302c305d7d2c2242223a7b226474797065223a22463634222c227368"
    "617065223a5b315d2c22646174615f6f666673657473223a5b302c385d7d2c2261223a7b226474797065223a22"
    "463332222c227368617065223a5b5d2c22646174615f6f666673657473223a5b382c31325d7d2c2262223a7b22"
    "6474797065223a22463332222c227368617065223a5b335d2c22646174615f6f666673657473223a5b31322c32"
    "345d7d2c2268223a7b226474797065223a22463136222c227368617065223a5b322c315d2c22646174615f6f66"
    "6673657473223a5b32342c32385d7d2c2275223a7b226474797065223a22553136222c227368617065223a5b31"
    "5d2c22646174615f6f666673657473223a5b32382c33305d7d2c22695c22c3a95c7530303031223a7b22647479"
    "7065223a225538222c227368617065223a5b335d2c22646174615f6f666673657473223a5b33302c33335d7d2c"
    "2274223a7b226474797065223a22424f4f4c222c227368617065223a5b325d2c22646174615f6f666673657473"
    "223a5b33332c33355d7d7d202020202020000000000000f83f00000040000000000000803f00000040003c00c0"
    "ffff07ff010100";

std::string golden() {
  std::string bytes;
  for (size_t i = 0; i < kGoldenHex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(kGoldenHex.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

template <typename Element>
TensorSource source(std::string name, DType dtype, std::vector<int64_t> shape,
                    const std::vector<Element>& elements) {
  return {std::move(name), dtype, std::move(shape), std::as_bytes(std::span(elements))};
}

TEST(Writer, WritesTheReferencesBytes) {
  const std::vector<float> a{2};
  const std::vector<float> b{0, 1, 2};
  const std::vector<int64_t> c;
  const std::vector<uint16_t> h{0x3C00, 0xC000};
  const std::vector<uint8_t> i{7, 255, 1};
  const std::vector<double> upper_b{1.5};
  const std::vector<uint8_t> t{1, 0};
  const std::vector<uint16_t> u{65535};
  const std::vector<TensorSource> tensors{
      f32_source("b", {3}, b),
      f32_source("a", {}, a),
      source("c", DType::kI64, {0, 2}, c),
      source("h", DType::kF16, {2, 1}, h),
      source("i\"é\x01", DType::kU8, {3}, i),
      source("B", DType::kF64, {1}, upper_b),
      source("t", DType::kBool, {2}, t),
      source("u", DType::kU16, {1}, u),
  };
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "golden.safetensors";
  const std::map<std::string, std::string> metadata{{"format", "a\n\"é/\x7f\\\x1f\u2028"}};
  write_safetensors(path, tensors, metadata);
  EXPECT_EQ(read_file(path, "E_TEST"), golden());
  EXPECT_EQ(safetensors_bytes("in memory", tensors, metadata), golden());
}

TEST(Writer, TheReferencesFileIsRead) {
  const Safetensors file = read(golden());
  EXPECT_EQ(file.tensors().size(), 8u);
  EXPECT_THAT(to_f32(*file.find("b")), ElementsAre(0, 1, 2));
  EXPECT_THAT(to_f32(*file.find("h")), ElementsAre(1, -2));
  EXPECT_THAT(file.find("h")->shape, ElementsAre(2, 1));
  EXPECT_EQ(file.find("i\"é\x01")->data.size(), 3u);
  EXPECT_THAT(file.metadata(), ElementsAre(Pair("format", "a\n\"é/\x7f\\\x1f\u2028")));
}

TEST(Writer, NothingGivesAnEmptyFile) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "empty.safetensors";
  write_safetensors(path, {});
  EXPECT_EQ(read_file(path, "E_TEST"), file_of("{}      "));
}

TEST(Writer, MetadataComesInTheOrderOfItsKeys) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "metadata.safetensors";
  write_safetensors(path, {}, {{"b", "2"}, {"a", "1"}});
  EXPECT_EQ(read_file(path, "E_TEST"), file_of(R"({"__metadata__":{"a":"1","b":"2"}}      )"));
}

TEST(Writer, HeadersArePaddedToEightBytes) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "padded.safetensors";
  for (size_t size = 1; size <= 8; ++size) {
    const std::vector<float> value{7};
    const std::vector<TensorSource> tensors{f32_source(std::string(size, 'n'), {1}, value)};
    write_safetensors(path, tensors);
    EXPECT_EQ((fs::file_size(path) - sizeof(float)) % 8, 0u);
    EXPECT_THAT(to_f32(Safetensors::open(path).tensors()[0]), ElementsAre(7));
  }
}

TEST(Writer, WhatIsWrittenIsReadBack) {
  std::vector<float> weight(6000);
  for (size_t i = 0; i < weight.size(); ++i) weight[i] = 0.25f * static_cast<float>(i) - 700;
  const std::vector<float> bias{-1, 1e-40f};
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "model.safetensors";
  const std::vector<TensorSource> tensors{f32_source("encoder.weight", {2, 3000}, weight),
                                          f32_source("encoder.bias", {2}, bias)};
  write_safetensors(path, tensors, {{"format", "pt"}});
  const Safetensors file = Safetensors::open(path, {.require_finite = true});
  EXPECT_EQ(to_f32(*file.find("encoder.weight")), weight);
  EXPECT_THAT(file.find("encoder.weight")->shape, ElementsAre(2, 3000));
  EXPECT_EQ(to_f32(*file.find("encoder.bias")), bias);
  EXPECT_THAT(file.metadata(), ElementsAre(Pair("format", "pt")));
}

class WriterMistakes : public testing::Test {
 protected:
  void expect_mistake(const std::vector<TensorSource>& tensors, const std::string& text,
                      const std::map<std::string, std::string>& metadata = {}) {
    try {
      write_safetensors(path_, tensors, metadata);
      ADD_FAILURE() << "accepted: " << text;
    } catch (const std::logic_error& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr(text));
    }
    EXPECT_FALSE(fs::exists(path_));
  }

  std::vector<float> two_{1, 2};
  TemporaryFolder folder_;
  fs::path path_ = folder_.path() / "x.safetensors";
};

TEST_F(WriterMistakes, DuplicateNames) {
  // Dtypes differ, so that they are no neighbours in the file.
  const std::vector<uint64_t> other{1};
  expect_mistake({f32_source("x", {2}, two_), f32_source("y", {2}, two_),
                  source("x", DType::kU64, {1}, other)},
                 "tensor `x` stands twice");
}

TEST_F(WriterMistakes, ShapesThatDoNotFitTheData) {
  for (const std::vector<int64_t>& shape : std::vector<std::vector<int64_t>>{
           {}, {1}, {3}, {2, 2}, {0}, {-2}, {-1, -2}, {INT64_MAX, 8}}) {
    expect_mistake({f32_source("x", shape, two_)}, "tensor `x` has 8 bytes");
  }
  expect_mistake({f32_source("x", {0, -1}, {})}, "its shape is [0,-1] in F32");
  const std::vector<uint8_t> byte{0};
  expect_mistake({source("x", DType::kF4, {1}, byte)}, "tensor `x` has 1 bytes");
}

TEST_F(WriterMistakes, NamesAndTextsThatTheFormatCannotHold) {
  expect_mistake({f32_source("__metadata__", {2}, two_)}, "__metadata__");
  expect_mistake({f32_source("x\xff", {2}, two_)}, R"("x\xff" is not UTF-8)");
  expect_mistake({}, "is not UTF-8", {{"k", "\xC0"}});
  expect_mistake({}, "is not UTF-8", {{"\xC0", "v"}});
}

// Writing fails half-way as on a full disk.
TEST(Writer, AFailedWriteKeepsTheOldFile) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "model.safetensors";
  write_safetensors(path, {}, {{"version", "old"}});
  const std::vector<float> large(100'000, 1.0f);
  const std::vector<TensorSource> tensors{f32_source("x", {100'000}, large)};

  rlimit saved;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &saved), 0);
  const rlimit small{4096, saved.rlim_max};
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  std::string code;
  try {
    write_safetensors(path, tensors);
  } catch (const Error& error) {
    code = error.code();
  }
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &saved), 0);
  std::signal(SIGXFSZ, handler);

  EXPECT_EQ(code, "E_WRITE");
  EXPECT_THAT(Safetensors::open(path).metadata(), ElementsAre(Pair("version", "old")));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 1);
  write_safetensors(path, tensors);
  EXPECT_EQ(to_f32(*Safetensors::open(path).find("x")), large);
}

TEST(Writer, AMissingFolderIsRefused) {
  const TemporaryFolder folder;
  expect_refusal([&] { write_safetensors(folder.path() / "no" / "x.safetensors", {}); }, "E_WRITE",
                 "No such file");
}

}  // namespace
}  // namespace moecollab::weights
