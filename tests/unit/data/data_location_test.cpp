#include "data/data_location.h"

#include "unit/data/data_files.h"

namespace moecollab::data {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class DataLocation : public DataFiles {
 protected:
  // "domain split path-below-the-folder" of each file found.
  std::vector<std::string> found(const DataOptions& options, const std::string& split) const {
    std::vector<std::string> all;
    for (const DataFile& file : locate(options, split, said_.log())) {
      all.push_back(file.domain + " " + file.split + " " +
                    file.path.lexically_relative(folder()).string());
    }
    return all;
  }
  DataOptions in_folder(const std::string& split = {}, Format format = Format::kAuto) const {
    return {folder(), {}, split, format};
  }
  DataOptions named(std::vector<std::string> files) const {
    return {{}, std::move(files), {}, Format::kAuto};
  }
  mutable CollectingLog said_{Log()};
};

TEST_F(DataLocation, FindsTheSplitOfEveryDomainSorted) {
  write("news/train.jsonl", "");
  write("emotion/train.jsonl", "");
  write("emotion/dev.jsonl", "");
  write(".cache/train.jsonl", "");
  write("README.md", "");
  EXPECT_THAT(found(in_folder(), "train"),
              ElementsAre("emotion train emotion/train.jsonl", "news train news/train.jsonl"));
}

TEST_F(DataLocation, TestElseDevIsChosenDomainByDomain) {
  write("a/test.jsonl", "");
  write("a/dev.jsonl", "");
  write("b/dev.jsonl", "");
  EXPECT_THAT(found(in_folder(), "test-else-dev"),
              ElementsAre("a test a/test.jsonl", "b dev b/dev.jsonl"));
}

TEST_F(DataLocation, SplitOptionWinsAndLacksAreWarnedAbout) {
  write("a/test.jsonl", "");
  write("b/dev.jsonl", "");
  EXPECT_THAT(found(in_folder("dev"), "test-else-dev"), ElementsAre("b dev b/dev.jsonl"));
  EXPECT_THAT(said_.texts(), ElementsAre("left out for want of dev.jsonl: a"));
}

TEST_F(DataLocation, FormatDecidesTheExtension) {
  write("a/train.csv", "");
  write("b/train.tsv", "");
  EXPECT_THAT(found(in_folder({}, Format::kCsv), "train"), ElementsAre("a train a/train.csv"));
  EXPECT_THAT(found(in_folder({}, Format::kTsv), "train"), ElementsAre("b train b/train.tsv"));
}

TEST_F(DataLocation, NamedFilesJoinTheFolders) {
  write("b/train.jsonl", "");
  DataOptions options = in_folder();
  options.files = {"c=" + (folder() / "x=y.csv").string(), "a=" + (folder() / "z.csv").string()};
  EXPECT_THAT(found(options, "train"),
              ElementsAre("a  z.csv", "b train b/train.jsonl", "c  x=y.csv"));
}

TEST_F(DataLocation, MissingFolder) {
  const DataOptions options{folder() / "none", {}, {}, Format::kAuto};
  expect_refused([&] { locate(options, "train", Log()); }, "E_DATA",
                 "none cannot be read: No such file");
  const DataOptions file{write("file", ""), {}, {}, Format::kAuto};
  expect_refused([&] { locate(file, "train", Log()); }, "E_DATA",
                 "cannot be read: Not a directory");
}

TEST_F(DataLocation, NoDomainHasTheSplit) {
  expect_refused([&] { locate(in_folder(), "train", Log()); }, "E_DATA", "(folders seen: none)");
  write("b/dev.jsonl", "");
  write("a/train.csv", "");
  expect_refused([&] { locate(in_folder(), "train", Log()); }, "E_DATA",
                 "no domain has train.jsonl (folders seen: a, b)");
  fs::remove(folder() / "b/dev.jsonl");
  expect_refused([&] { locate(in_folder(), "test-else-dev", Log()); }, "E_DATA",
                 "no domain has test.jsonl or dev.jsonl");
}

TEST_F(DataLocation, NeitherFolderNorFile) {
  expect_refused([] { locate({}, "train", Log()); }, "E_CONFIG", "neither a folder nor files");
}

TEST_F(DataLocation, MalformedAssignment) {
  for (const char* text : {"emotion", "=file", "emotion=", "", "a/b=f", "a b=f", "\xFF=f"}) {
    expect_refused([&] { locate(named({text}), "train", Log()); }, "E_CONFIG",
                   "DOMAIN=FILE is expected");
  }
  expect_refused([&] { locate(named({std::string(65, 'a') + "=f"}), "train", Log()); }, "E_CONFIG",
                 "DOMAIN=FILE");
}

TEST_F(DataLocation, DomainGivenTwice) {
  expect_refused(
      [&] {
        locate(named({"a=1.csv", "b=2.csv", "a=3.csv"}), "train", Log());
      },
      "E_CONFIG", "domain `a` is given twice: 1.csv and 3.csv");
  write("a/train.jsonl", "");
  DataOptions options = in_folder();
  options.files = {"a=1.csv"};
  expect_refused([&] { locate(options, "train", Log()); }, "E_CONFIG", "domain `a` is given twice");
}

TEST_F(DataLocation, UnknownSplit) {
  expect_refused([&] { locate(in_folder("tset"), "train", Log()); }, "E_CONFIG",
                 "did you mean `test`?");
  expect_refused([&] { locate(in_folder("test-else-dev"), "train", Log()); }, "E_CONFIG",
                 "is no split");
}

}  // namespace
}  // namespace moecollab::data
