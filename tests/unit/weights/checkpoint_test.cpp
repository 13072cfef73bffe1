#include "weights/checkpoint.h"

#include "base/files.h"
#include "unit/weights/helpers.h"
#include "weights/writer.h"

namespace moecollab::weights {
namespace {

using testing::ElementsAre;

constexpr const char* kIndex =
    R"({"metadata": {"total_size": 12, "a": {"b": "c"}}, "weight_map": )"
    R"({"b": "two.safetensors", "a": "one.safetensors", "c": "two.safetensors"}})";

void expect_index_refused(const std::string& bytes, const std::string& text,
                          const ReadLimits& limits = {}) {
  SCOPED_TRACE(bytes.substr(0, 120));
  expect_refusal([&] { parse_checkpoint_index(bytes, "i.json", limits); }, "E_ST_INDEX", text);
}

class CheckpointFolder : public testing::Test {
 protected:
  CheckpointFolder() {
    write("one.safetensors", {"a"});
    write("two.safetensors", {"c", "b"});
    write_index(kIndex);
  }

  fs::path path(const std::string& name) const { return folder_.path() / name; }
  void write_index(std::string_view bytes) {
    write_file_atomic(path("model.safetensors.index.json"), bytes);
  }
  // A scalar for each name: its first letter's number.
  void write(const std::string& file, const std::vector<std::string>& names) {
    std::vector<float> values;
    for (const std::string& name : names) values.push_back(static_cast<float>(name[0]));
    std::vector<TensorSource> sources;
    for (size_t i = 0; i < names.size(); ++i) {
      sources.push_back(f32_source(names[i], {1}, std::span(values).subspan(i, 1)));
    }
    write_safetensors(path(file), sources);
  }
  CheckpointFiles found() const { return find_checkpoint(folder_.path()).value(); }
  void expect_refused(const std::string& code, const std::string& text) const {
    expect_refusal([&] { Checkpoint::open(found()); }, code, text);
  }

  TemporaryFolder folder_;
};

std::string content(const Checkpoint& checkpoint) {
  std::string text;
  for (const TensorView& view : checkpoint.tensors()) {
    float value = 0;
    std::memcpy(&value, view.data.data(), sizeof value);
    text += std::string(view.name) + "=" + static_cast<char>(value) + " ";
  }
  return text;
}

TEST(CheckpointIndex, NamesTheShardOfEachTensor) {
  const CheckpointIndex index = parse_checkpoint_index(kIndex, "i.json");
  EXPECT_THAT(index.shard_of,
              ElementsAre(std::pair("a", "one.safetensors"), std::pair("b", "two.safetensors"),
                          std::pair("c", "two.safetensors")));
  EXPECT_THAT(index.shards(), ElementsAre("one.safetensors", "two.safetensors"));
}

TEST(CheckpointIndex, RefusesWhatNamesNoTensor) {
  for (const char* bytes : {"{}", "[]", "3", R"({"weight_map": {}})", R"({"weight_map": []})",
                            R"({"weight_map": ["a.safetensors"]})", R"({"weight_map": null})",
                            R"({"metadata": {"weight_map": {}}})"}) {
    expect_index_refused(bytes, "i.json: `weight_map`");
  }
}

TEST(CheckpointIndex, RefusesAShardThatIsNoFileNameBesideIt) {
  for (const char* shard : {R"("../one.safetensors")", R"("/etc/passwd")", R"("a/b.safetensors")",
                            R"("..")", R"(".")", R"("")", R"("a\u0000b")", "7", "null", "{}"}) {
    expect_index_refused(std::string(R"({"weight_map": {"layer.x": )") + shard + "}}",
                         "tensor `layer.x` lies in ");
  }
  expect_index_refused(R"({"weight_map": {"t": ["a"]}})", "no name of a file beside it");
  expect_index_refused(R"({"weight_map": {"t": ")" + std::string(256, 'n') + "\"}}",
                       "no name of a file beside it");
}

TEST(CheckpointIndex, RefusesTwiceTheSameTensorDepthAndTooMany) {
  expect_index_refused(R"({"weight_map": {"t": "a", "t": "b"}})", "tensor `t` stands twice");
  expect_index_refused(R"({"weight_map": {"t": "a"}, "weight_map": {"t": "a"}})", "stands twice");
  expect_index_refused(std::string(100'000, '['), "nested deeper than");
  ReadLimits limits;
  limits.max_tensors = 2;
  expect_index_refused(kIndex, "more than the 2 tensors", limits);
}

TEST(CheckpointIndex, DamagedCopiesAreReadOrRefusedByName) {
  const std::string good = kIndex;
  const auto outcome = [](const std::string& bytes) {
    try {
      for (const std::string& shard : parse_checkpoint_index(bytes, "i.json").shards()) {
        EXPECT_EQ(shard.find('/'), std::string::npos);
      }
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), "E_ST_INDEX") << bytes;
    }
  };
  for (size_t i = 0; i < good.size(); ++i) {
    expect_index_refused(good.substr(0, i), "i.json: ");
    for (const char with : {'"', '{', '}', '/', '\0', '\xFF', ','}) {
      std::string bad = good;
      bad[i] = with;
      outcome(bad);
    }
    outcome(good.substr(0, i) + good.substr(i + 1));
  }
}

TEST_F(CheckpointFolder, ReadsAcrossShards) {
  EXPECT_EQ(found().file(), path("model.safetensors.index.json"));
  EXPECT_EQ(content(Checkpoint::open(found())), "a=a b=b c=c ");
}

TEST_F(CheckpointFolder, TakesTheSingleFileIfBothAreThere) {
  write("model.safetensors", {"z"});
  EXPECT_EQ(found().file(), path("model.safetensors"));
  EXPECT_EQ(content(Checkpoint::open(found())), "z=z ");
}

TEST_F(CheckpointFolder, IsNoneWithoutAFile) {
  fs::remove(path("model.safetensors.index.json"));
  EXPECT_FALSE(find_checkpoint(folder_.path()));
}

TEST_F(CheckpointFolder, DigestCoversEveryShard) {
  const std::string before = found().sha256();
  EXPECT_EQ(found().sha256(), before);
  write("two.safetensors", {"d", "b"});
  EXPECT_NE(found().sha256(), before);
  write("two.safetensors", {"c", "b"});
  EXPECT_EQ(found().sha256(), before);
  write("one.safetensors", {"b"});
  EXPECT_NE(found().sha256(), before);
}

TEST_F(CheckpointFolder, MissingShardsAreNamedWithATensor) {
  fs::remove(path("two.safetensors"));
  expect_refused("E_ST_INDEX", "tensor `b` lies in two.safetensors, which is missing");
  fs::create_symlink("../blobs/0123", path("two.safetensors"));
  expect_refused("E_ST_INDEX", "which is a link to ../blobs/0123, which is no file");
  fs::remove(path("two.safetensors"));
  fs::create_directory(path("two.safetensors"));
  expect_refused("E_ST_INDEX", "which is not a regular file");
}

TEST_F(CheckpointFolder, ALinkToAShardIsFollowed) {
  fs::create_directory(path("blobs"));
  fs::rename(path("two.safetensors"), path("blobs/0123"));
  fs::create_symlink("blobs/0123", path("two.safetensors"));
  EXPECT_EQ(content(Checkpoint::open(found())), "a=a b=b c=c ");
}

TEST_F(CheckpointFolder, IndexAndShardsMustAgree) {
  write("two.safetensors", {"b"});
  expect_refused("E_ST_INDEX", "tensor `c` is not in two.safetensors");
  write("two.safetensors", {"b", "c", "d"});
  expect_refused("E_ST_INDEX",
                 "two.safetensors holds tensor `d`, which the index looks for nowhere");
  write("two.safetensors", {"a", "b", "c"});
  expect_refused("E_ST_INDEX", "`a`, which the index looks for in one.safetensors");
}

TEST_F(CheckpointFolder, ADamagedShardIsRefusedByItsOwnName) {
  fs::resize_file(path("two.safetensors"), fs::file_size(path("two.safetensors")) - 1);
  expect_refused("E_ST_METADATA_INCOMPLETE_BUFFER", path("two.safetensors").string());
}

TEST_F(CheckpointFolder, PointersOfGitLfsAreRefusedInPlaceOfEachFile) {
  const std::string pointer =
      "version https://git-lfs.github.com/spec/v1\noid sha256:53aa51172d142c89d9012cce15ae4d6\n"
      "size 90868376\n";
  for (const char* name :
       {"two.safetensors", "model.safetensors.index.json", "model.safetensors"}) {
    write_file_atomic(path(name), pointer);
    expect_refused("E_ST_GIT_LFS",
                   path(name).string() + " is a pointer of git-lfs in place of 90868376 bytes");
  }
}

}  // namespace
}  // namespace moecollab::weights
