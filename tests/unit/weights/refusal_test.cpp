// Every way in which a file can be refused, in the order of the reader's checks.
#include "unit/weights/helpers.h"

namespace moecollab::weights {
namespace {

constexpr char kNotHeader[] = "E_ST_INVALID_HEADER_DESERIALIZATION";

// A header with one tensor `x`.
std::string tensor(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"x":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}}";
}

TEST(Refusal, R33_TooFewBytesForALength) {
  for (size_t size = 0; size < 8; ++size) {
    expect_refused(std::string(size, '\0'), "E_ST_HEADER_TOO_SMALL", std::to_string(size));
  }
}

TEST(Refusal, R33_HeaderOverTheLimit) {
  expect_refused(with_length(0xffffff000000003c, "{}"), "E_ST_HEADER_TOO_LARGE", "100000000");
  expect_refused(with_length(UINT64_MAX, "{}"), "E_ST_HEADER_TOO_LARGE", "18446744073709551615");
  expect_refused(with_length(100'000'001, "{}"), "E_ST_HEADER_TOO_LARGE", "100000001");
}

TEST(Refusal, R33_HeaderOverTheCallersLimit) {
  expect_refused(file_of("{}   "), "E_ST_HEADER_TOO_LARGE", "more than the 4 allowed",
                 {.max_header = 4});
  EXPECT_NO_THROW(read(file_of("{}   "), {.max_header = 5}));
}

TEST(Refusal, R33_HeaderLongerThanTheFile) {
  expect_refused(with_length(60, ""), "E_ST_INVALID_HEADER_LENGTH", "60");
  expect_refused(with_length(3, "{}"), "E_ST_INVALID_HEADER_LENGTH", "only 2 follow");
  expect_refused(with_length(100'000'000, "{}"), "E_ST_INVALID_HEADER_LENGTH", "100000000");
  // With no limit of the caller's, 8 + n overflows.
  expect_refused(with_length(UINT64_MAX, "{}"), "E_ST_INVALID_HEADER_LENGTH", "only 2 follow",
                 {.max_header = UINT64_MAX});
}

TEST(Refusal, R33_HeaderThatIsNotOneJsonObject) {
  for (const char* header : {"", " ", "{", "}", "{}{}", "{} x", "{},", "{\"a\"}", "{'a':1}", "nope",
                             "{\"a\":\"\\ud800\"}", "/**/{}", "{}//", "{\"a\":01}"}) {
    expect_refused(file_of(header), kNotHeader, "");
  }
  for (const char* header : {"[]", "1", "null", "\"x\"", "true", "-1", "1.5"}) {
    expect_refused(file_of(header), kNotHeader, "must be a JSON object");
  }
}

TEST(Refusal, R33_Depth) {
  const auto nested = [](size_t levels) {
    return R"({"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"more":)" +
           std::string(levels, '[') + std::string(levels, ']') + "}}";
  };
  EXPECT_NO_THROW(read(file_of(nested(6))));
  expect_refused(file_of(nested(7)), kNotHeader, "deeper than 8 levels");
  expect_refused(file_of(nested(100)), kNotHeader, "deeper than 8 levels");
  expect_refused(file_of(R"({"x":{"y":)" + std::string(100, '[')), kNotHeader, "deeper");
}

TEST(Refusal, R33_MoreTensorsThanAllowed) {
  const auto many = [](size_t count) {
    std::string header = "{";
    for (size_t i = 0; i < count; ++i) {
      header += (i == 0 ? "\"" : ",\"") + std::to_string(i) +
                R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
    }
    return file_of(header + "}");
  };
  EXPECT_EQ(read(many(2), {.max_tensors = 2}).tensors().size(), 2u);
  expect_refused(many(100'001), "E_ST_HEADER_TOO_LARGE", "more than the 100000 tensors");
  expect_refused(many(3), "E_ST_HEADER_TOO_LARGE", "more than the 2 tensors", {.max_tensors = 2});
}

TEST(Refusal, R33_MoreMetadataThanAllowed) {
  const std::string bytes = file_of(R"({"__metadata__":{"a":"","b":"","c":""}})");
  expect_refused(bytes, "E_ST_HEADER_TOO_LARGE", "more than the 2 entries", {.max_tensors = 2});
  EXPECT_EQ(read(bytes, {.max_tensors = 3}).metadata().size(), 3u);
}

TEST(Refusal, R34_DuplicateTensorName) {
  const std::string entry = R"("x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  expect_refused(file_of("{" + entry + "," + entry + "}"), "E_ST_DUP", "tensor `x` stands twice");
  // The same name by another spelling.
  expect_refused(
      file_of("{" + entry + R"(,"\u0078":{"dtype":"U8","shape":[1],)" + R"("data_offsets":[0,1]}})",
              1),
      "E_ST_DUP", "tensor `x` stands twice");
}

TEST(Refusal, R34_OtherDuplicateKeys) {
  expect_refused(file_of(R"({"__metadata__":{},"__metadata__":{}})"), "E_ST_DUP", "__metadata__");
  expect_refused(file_of(R"({"__metadata__":{"k":"1","k":"1"}})"), "E_ST_DUP", "key `k`");
  expect_refused(file_of(R"({"x":{"dtype":"U8","dtype":"U8","shape":[],"data_offsets":[0,1]}})", 1),
                 "E_ST_DUP", "field `dtype` of tensor `x`");
  expect_refused(file_of(R"({"x":{"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]}})", 1),
                 "E_ST_DUP", "field `shape`");
  expect_refused(
      file_of(R"({"x":{"dtype":"U8","shape":[],"data_offsets":[0,1],"data_offsets":[0,1]}})", 1),
      "E_ST_DUP", "field `data_offsets`");
}

TEST(Refusal, EntriesMustHaveAllFields) {
  expect_refused(file_of(R"({"x":{"shape":[],"data_offsets":[0,1]}})", 1), kNotHeader,
                 "tensor `x` has no `dtype`");
  expect_refused(file_of(R"({"x":{"dtype":"U8","data_offsets":[0,1]}})", 1), kNotHeader,
                 "tensor `x` has no `shape`");
  expect_refused(file_of(R"({"x":{"dtype":"U8","shape":[]}})", 1), kNotHeader,
                 "tensor `x` has no `data_offsets`");
  // The fields of one tensor do not serve the next.
  expect_refused(file_of(R"({"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]},"x":{}})", 1),
                 kNotHeader, "tensor `x` has no `dtype`");
}

TEST(Refusal, EntriesMustBeObjects) {
  for (const char* value : {"1", "null", "\"U8\"", "[]", "true", "-1", "0.5"}) {
    expect_refused(file_of(std::string("{\"x\":") + value + "}"), kNotHeader,
                   "tensor `x` must be an object");
  }
}

TEST(Refusal, MetadataMustBeStrings) {
  for (const char* value : {"1", "null", "\"x\"", "[]", "true"}) {
    expect_refused(file_of(std::string("{\"__metadata__\":") + value + "}"), kNotHeader,
                   "__metadata__ must be an object of strings");
    if (value[0] == '"') continue;
    expect_refused(file_of(std::string("{\"__metadata__\":{\"k\":") + value + "}}"), kNotHeader,
                   "`k` must be a string");
  }
  expect_refused(file_of(R"({"__metadata__":{"k":{}}})"), kNotHeader, "`k` must be a string");
}

TEST(Refusal, R36_UnknownDType) {
  expect_refused(file_of(tensor("BF61", "[]", "[0,2]"), 2), kNotHeader,
                 "no dtype \"BF61\"; did you mean `BF16`?");
  expect_refused(file_of(tensor("", "[]", "[0,2]"), 2), kNotHeader, "no dtype \"\"");
  expect_refused(file_of(R"({"x":{"dtype":7,"shape":[],"data_offsets":[0,1]}})", 1), kNotHeader,
                 "dtype must be a string");
}

TEST(Refusal, ShapesAndOffsetsMustBeUnsignedIntegers) {
  for (const char* number : {"-1", "-0", "1.0", "1e0", "\"1\"", "null", "true", "[1]", "{}",
                             "18446744073709551616", "1e999"}) {
    const std::string list = std::string("[") + number + "]";
    expect_refused(file_of(tensor("U8", list, "[0,1]"), 1), kNotHeader, "");
    expect_refused(file_of(tensor("U8", "[1]", std::string("[0,") + number + "]"), 1), kNotHeader,
                   "");
    expect_refused(file_of(tensor("U8", "[1]", std::string("[") + number + ",1]"), 1), kNotHeader,
                   "");
  }
  expect_refused(file_of(tensor("U8", "[-1]", "[0,1]"), 1), kNotHeader,
                 "tensor `x`: shape must be a list");
  for (const char* shape : {"1", "{}", "null", "\"[1]\""}) {
    expect_refused(file_of(tensor("U8", shape, "[0,1]"), 1), kNotHeader, "shape must be a list");
  }
}

TEST(Refusal, OffsetsMustBeTwo) {
  for (const char* offsets : {"[]", "[0]", "[0,1,1]", "0", "{\"0\":1}", "[[0,1]]", "null"}) {
    expect_refused(file_of(tensor("U8", "[1]", offsets), 1), kNotHeader,
                   "data_offsets must be two integers");
  }
}

TEST(Refusal, ShapesHaveAtMost64Dimensions) {
  const auto ones = [](size_t count) {
    std::string list = "[1";
    for (size_t i = 1; i < count; ++i) list += ",1";
    return file_of(tensor("U8", list + "]", "[0,1]"), 1);
  };
  EXPECT_EQ(read(ones(64)).find("x")->shape.size(), 64u);
  expect_refused(ones(65), kNotHeader, "more than 64 dimensions");
}

std::string two_tensors(const std::string& first, const std::string& second, size_t buffer = 8) {
  return file_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":)" + first +
                     R"(},"b":{"dtype":"F32","shape":[1],"data_offsets":)" + second + "}}",
                 buffer);
}

TEST(Refusal, R35_OverlapHoleAndReversedOffsets) {
  EXPECT_NO_THROW(read(two_tensors("[4,8]", "[0,4]")));
  const auto expect_offset = [](const std::string& bytes, const std::string& text) {
    expect_refused(bytes, "E_ST_INVALID_OFFSET", text);
  };
  expect_offset(two_tensors("[0,4]", "[0,4]", 4), "tensor `b`: offsets [0, 4]");
  expect_offset(two_tensors("[0,4]", "[2,6]", 6), "tensor `b`: offsets [2, 6]");
  expect_offset(two_tensors("[0,4]", "[8,12]", 12), "tensor `b`: offsets [8, 12]");
  expect_offset(two_tensors("[4,8]", "[8,12]", 12), "tensor `a`: offsets [4, 8]");
  expect_offset(two_tensors("[0,4]", "[4,0]"), "tensor `b`: offsets [4, 0]");
  expect_offset(two_tensors("[0,4]", "[18446744073709551612,18446744073709551615]"), "tensor `b`");
}

// The reference's test_json_attack: ten tensors over the same bytes.
TEST(Refusal, R35_ManyTensorsOverOneBuffer) {
  std::string header = "{";
  for (int i = 0; i < 10; ++i) {
    header += (i == 0 ? "\"weight_" : ",\"weight_") + std::to_string(i) +
              R"(":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]})";
  }
  expect_refused(file_of(header + "}", 16), "E_ST_INVALID_OFFSET", "tensor `weight_1`");
}

// The shapes of the reference's test_validation_overflow: of the elements' number, and of the bits.
TEST(Refusal, R35_ShapeProductOverflow) {
  for (const char* shape : {"[2,18446744073709551614]", "[2,9223372036854775807]"}) {
    expect_refused(file_of(tensor("I32", shape, "[0,16]"), 16), "E_ST_VALIDATION_OVERFLOW", shape);
  }
  EXPECT_NO_THROW(read(file_of(tensor("U8", "[0,9223372036854775807]", "[0,0]"))));
}

TEST(Refusal, SubByteTypesThatEndWithinAByte) {
  expect_refused(file_of(tensor("F4", "[3]", "[0,2]"), 2), "E_ST_MISALIGNED_SLICE", "12 bits");
  expect_refused(file_of(tensor("F6_E3M2", "[2]", "[0,2]"), 2), "E_ST_MISALIGNED_SLICE", "12 bits");
}

TEST(Refusal, R35_SizeMismatch) {
  expect_refused(file_of(tensor("F32", "[2]", "[0,4]"), 4), "E_ST_TENSOR_INVALID_INFO",
                 "tensor `x`: shape [2] in F32 is 8 bytes, but its offsets span 4");
  expect_refused(file_of(tensor("F32", "[]", "[0,0]")), "E_ST_TENSOR_INVALID_INFO", "span 0");
  expect_refused(file_of(tensor("F32", "[0]", "[0,4]"), 4), "E_ST_TENSOR_INVALID_INFO", "0 bytes");
}

TEST(Refusal, R35_BufferOfAnotherSize) {
  const std::string header = tensor("I32", "[2,2]", "[0,16]");
  EXPECT_NO_THROW(read(file_of(header, 16)));
  for (const size_t size : {0, 14, 15, 17, 20}) {
    expect_refused(file_of(header, size), "E_ST_METADATA_INCOMPLETE_BUFFER",
                   "take 16 bytes, but " + std::to_string(size) + " follow");
  }
  expect_refused(file_of("{}", 1), "E_ST_METADATA_INCOMPLETE_BUFFER", "take 0 bytes, but 1");
  expect_refused(file_of(tensor("U8", "[1152921504606846976]", "[0,1152921504606846976]"), 1),
                 "E_ST_METADATA_INCOMPLETE_BUFFER", "1152921504606846976");
}

// Where several things are wrong, the earliest check of the reference decides.
TEST(Refusal, TheOrderOfChecksIsTheReferences) {
  expect_refused(with_length(100'000'001, "\xff"), "E_ST_HEADER_TOO_LARGE", "");
  expect_refused(file_of("{\xff"), "E_ST_INVALID_HEADER", "");
  expect_refused(file_of(tensor("F33", "[3]", "[4,2]"), 9), kNotHeader, "");
  expect_refused(file_of(tensor("F4", "[3]", "[4,2]"), 9), "E_ST_INVALID_OFFSET", "");
  expect_refused(file_of(tensor("F4", "[2,18446744073709551614]", "[0,2]"), 9),
                 "E_ST_VALIDATION_OVERFLOW", "");
  expect_refused(file_of(tensor("F4", "[3]", "[0,7]"), 9), "E_ST_MISALIGNED_SLICE", "");
  expect_refused(file_of(tensor("F4", "[2]", "[0,7]"), 9), "E_ST_TENSOR_INVALID_INFO", "");
}

TEST(Refusal, NamesInMessagesAreEscapedAndCut) {
  const std::string name = R"(\u001b[31m\n)" + std::string(200, 'n') + "end";
  const std::string bytes =
      file_of("{\"" + name + R"(":{"dtype":"U8","shape":[2],"data_offsets":[0,1]}})", 1);
  expect_refused(bytes, "E_ST_TENSOR_INVALID_INFO", R"(tensor `\x1b[31m\x0a)");
  try {
    read(bytes);
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_EQ(message.find('\x1b'), std::string::npos);
    EXPECT_EQ(message.find("end`"), std::string::npos);
    EXPECT_LT(message.size(), 250u);
  }
}

}  // namespace
}  // namespace moecollab::weights
