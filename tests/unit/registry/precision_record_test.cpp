#include "registry/precision_record.h"

#include <functional>
#include <string>
#include <vector>

#include "registry/layout.h"
#include "unit/registry/fixtures.h"

namespace moecollab::registry {
namespace {

using testing::HasSubstr;

PrecisionUse use() {
  return {std::string(64, 'e'), std::string(64, 'a'), {"feel", "know"}, "mixture", 2,
          "avx512_bf16",        kKernelRevision};
}

PrecisionRecord record(Precision precision, double speedup) {
  PrecisionRecord r;
  r.precision = precision;
  r.use = use();
  r.cpu_name = "Some CPU";
  r.version = "0.3.0";
  r.threads = 2;
  r.domains = {{"moods", std::string(64, 'd'), 200, 0.9, 0.895, 1, 2, -0.577, 4}};
  r.overall = {"", "", 200, 0.9, 0.895, 1, 2, -0.577, 4};
  r.texts_per_second_against = 100;
  r.texts_per_second = 100 * speedup;
  return r;
}

PrecisionRecord failed(Precision precision, double speedup) {
  PrecisionRecord r = record(precision, speedup);
  r.reasons = {"moods is significantly worse"};
  return r;
}

void put(const fs::path& registry, const PrecisionRecord& r, const std::string& from = {},
         const std::string& to = {}) {
  std::string text = to_text(to_json(r));
  if (!from.empty()) {
    const size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << text;
    text.replace(at, from.size(), to);
  }
  const fs::path file = precision_file(registry, name(r.precision), r.use.cpu_class);
  make_folder(file.parent_path());
  write_file_atomic(file, text);
}

TEST(PrecisionRecord, WhatIsWrittenIsRead) {
  const TemporaryFolder folder;
  EXPECT_FALSE(read_precision_record(folder.path(), Precision::kInt8, "avx512_bf16"));
  for (const PrecisionRecord& written :
       {record(Precision::kInt8, 3.5), failed(Precision::kInt8, 3.5)}) {
    put(folder.path(), written);
    const auto read = read_precision_record(folder.path(), Precision::kInt8, "avx512_bf16");
    ASSERT_TRUE(read);
    EXPECT_EQ(to_json(*read), to_json(written));
    EXPECT_EQ(read->use, written.use);
    EXPECT_EQ(read->passes(), written.passes());
    EXPECT_EQ(read->domains[0].data, std::string(64, 'd'));
  }
  EXPECT_FALSE(read_precision_record(folder.path(), Precision::kInt8, "avx512"));
  EXPECT_FALSE(read_precision_record(folder.path(), Precision::kBf16, "avx512_bf16"));
}

TEST(PrecisionRecord, ADamagedOneIsRefusedWithItsNameAndTheWayOn) {
  const struct {
    std::string from, to, code, fragment;
  } cases[] = {
      {"moecollab.precision/1", "moecollab.precision/2", "E_REG_SCHEMA", "moecollab.precision/1"},
      {"\"passes\": true", "\"passes\": false", "E_REG_SCHEMA", "contradict"},
      {"\"precision\": \"int8\"", "\"precision\": \"int4\"", "E_REG_SCHEMA", "fp32, fp16, bf16 or int8"},
      {"\"precision\": \"int8\"", "\"precision\": \"bf16\"", "E_REG_SCHEMA", "int8"},
      {"\"texts_per_second\": 350.0", "\"texts_per_second\": 0.0", "E_REG_SCHEMA", "greater"},
      {"\"flips\"", "\"flops\"", "E_REG_SCHEMA", "flips"},
      {"\"use\"", "\"us\"", "E_REG_SCHEMA", "use"},
      {"{", "", "E_REG_SYNTAX", "int8-avx512_bf16.json"},
  };
  for (const auto& damage : cases) {
    const TemporaryFolder folder;
    put(folder.path(), record(Precision::kInt8, 3.5), damage.from, damage.to);
    try {
      read_precision_record(folder.path(), Precision::kInt8, "avx512_bf16");
      ADD_FAILURE() << damage.to << " was read";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), damage.code) << damage.to;
      EXPECT_THAT(error.what(), HasSubstr("int8-avx512_bf16.json"));
      EXPECT_THAT(error.what(), HasSubstr(damage.fragment)) << damage.to;
    }
  }
}

TEST(PrecisionRecord, CountsForAnEqualUseOnly) {
  const struct {
    std::function<void(PrecisionUse&)> change;
    std::string fragment;
  } cases[] = {
      {[](PrecisionUse& u) { u.encoder = "another"; }, "encoder"},
      {[](PrecisionUse& u) { u.gate = "another"; }, "gate"},
      {[](PrecisionUse& u) { u.experts.pop_back(); }, "choice of experts"},
      {[](PrecisionUse& u) { u.fusion = "logit-union"; }, "fusion"},
      {[](PrecisionUse& u) { u.top_k = 0; }, "top-k"},
      {[](PrecisionUse& u) { u.cpu_class = "avx512"; }, "class of CPU"},
      {[](PrecisionUse& u) { ++u.kernels; }, "kernels"},
  };
  const PrecisionRecord good = record(Precision::kInt8, 3);
  EXPECT_EQ(objection(good, use()), "");
  for (const auto& other : cases) {
    PrecisionUse changed = use();
    other.change(changed);
    EXPECT_FALSE(changed == use());
    EXPECT_THAT(objection(good, changed), HasSubstr(other.fragment));
  }
  EXPECT_THAT(objection(failed(Precision::kInt8, 3), use()),
              HasSubstr("did not pass: moods is significantly worse"));
}

TEST(PrecisionChoice, IsTheFastestThatARecordAllows) {
  constexpr Precision kFp32 = Precision::kFp32, kBf16 = Precision::kBf16, kInt8 = Precision::kInt8;
  PrecisionRecord of_another = record(kInt8, 4);
  of_another.use.gate = "another";
  PrecisionRecord against_another = record(kInt8, 4);
  against_another.against = kBf16;
  const struct {
    std::vector<PrecisionRecord> records;
    Precision chosen;
    std::string why;
  } cases[] = {
      {{}, kFp32, "no other precision has a record"},
      {{record(kBf16, 1.9)}, kBf16, "1.90 times as fast as fp32"},
      {{record(kBf16, 1.9), record(kInt8, 3.2)}, kInt8, "3.20 times"},
      {{record(kBf16, 1.9), record(kInt8, 1.2)}, kBf16, "1.90 times"},
      {{record(kBf16, 1.9), failed(kInt8, 3.2)}, kBf16, "1.90 times"},
      {{failed(kInt8, 3.2)}, kFp32, "int8 did not pass: moods is significantly worse"},
      {{record(kInt8, 0.9)}, kFp32, "int8 is not faster"},
      {{of_another}, kFp32, "of another gate"},
      {{against_another}, kFp32, "against bf16"},
      {{of_another, record(kBf16, 1.1)}, kBf16, "1.10 times"},
  };
  for (const auto& one : cases) {
    const PrecisionChoice choice = choose_precision(one.records, use(), kFp32);
    EXPECT_EQ(choice.precision, one.chosen) << one.why;
    EXPECT_THAT(choice.why, HasSubstr(one.why));
    EXPECT_THAT(choice.why, HasSubstr(std::string("precision auto: ") + name(one.chosen)));
  }
}

}  // namespace
}  // namespace moecollab::registry
