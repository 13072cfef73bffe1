#include "data/data_location.h"

#include <fmt/format.h>

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
  EXPECT_THAT(said_.texts(),
              ElementsAre("left out for want of dev.{jsonl,ndjson,json,csv,tsv}: a (test.jsonl)"));
}

TEST_F(DataLocation, EveryExtensionAndPackingIsFound) {
  for (const char* extension : {"jsonl", "ndjson", "json", "csv", "tsv", "JSONL"}) {
    for (const char* packing : {"", ".gz", ".zst", ".GZ"}) {
      const std::string name = fmt::format("a/train.{}{}", extension, packing);
      const fs::path file = write(name, "");
      EXPECT_THAT(found(in_folder(), "train"), ElementsAre("a train " + name));
      fs::remove(file);
    }
  }
  for (const char* other : {"train", "train.txt", "train.jsonl.bak", "train.csv.xz", "retrain.csv",
                            "train.old.csv", "._train.csv"}) {
    write(fmt::format("a/{}", other), "");
  }
  expect_refused([&] { locate(in_folder(), "train", Log()); }, "E_DATA", "no domain has train.");
}

TEST_F(DataLocation, OneOddFolderDoesNotStopTheOthers) {
  write("good/train.csv", "");
  write("Über uns/train.csv", "");
  write("two/train.csv", "");
  write("two/train.jsonl", "");
  EXPECT_THAT(found(in_folder(), "train"), ElementsAre("good train good/train.csv"));
  EXPECT_THAT(said_.texts(),
              ElementsAre(testing::AllOf(HasSubstr("cannot be a domain's name"),
                                         HasSubstr("has 2 files that could be the split train"))));
}

TEST_F(DataLocation, DevIsAlsoCalledValidation) {
  for (const char* name : {"validation", "valid", "val", "Dev"}) {
    const fs::path file = write(fmt::format("a/{}.csv", name), "");
    EXPECT_THAT(found(in_folder("dev"), "train"), ElementsAre(fmt::format("a dev a/{}.csv", name)));
    fs::remove(file);
  }
}

TEST_F(DataLocation, FileSaysHowItIsRead) {
  write("odd,name=1.tsv", "");
  const std::string odd = (folder() / "odd,name=1.tsv").string();
  DataOptions options = named({"a=x.csv,text-column=body,label-base=1,columns=label+title+body",
                               "b=" + odd + ",format=tsv,label-names=no+yes", "c=x.csv"});
  options.reading.columns.text = "text";
  const std::vector<DataFile> files = locate(options, "train", Log());
  ASSERT_EQ(files.size(), 3u);
  EXPECT_EQ(files[0].path, "x.csv");
  EXPECT_EQ(files[0].reading.columns.text, "body");
  EXPECT_EQ(files[0].reading.columns.label_base, 1);
  EXPECT_THAT(files[0].reading.columns.names, ElementsAre("label", "title", "body"));
  EXPECT_EQ(files[1].path, odd);
  EXPECT_EQ(files[1].reading.format, Format::kTsv);
  EXPECT_THAT(files[1].reading.columns.label_names, ElementsAre("no", "yes"));
  EXPECT_EQ(files[2].reading.columns.text, "text") << "the options' own";
  expect_refused([&] { locate(named({"a=x.csv,text-colum=b"}), "train", Log()); }, "E_CONFIG",
                 "`text-colum` is no way of reading one; did you mean `text-column`?");
  expect_refused([&] { locate(named({"a=x.csv,label-base=one"}), "train", Log()); }, "E_CONFIG",
                 "label-base is `one`, expected a whole number");
}

TEST_F(DataLocation, WhatIsSaidOfADomainYieldsToTheOptionsAndThoseToTheFile) {
  DataOptions options = named({"a=x.csv,label-column=mood", "b=x.csv"});
  options.of_domains["a"] = {.format = Format::kTsv,
                             .columns = {.text = "body", .label = "topic", .label_base = 1}};
  options.reading.columns.text = "words";
  const std::vector<DataFile> files = locate(options, "train", Log());
  EXPECT_EQ(files[0].reading.format, Format::kTsv);
  EXPECT_EQ(files[0].reading.columns.label_base, 1);
  EXPECT_EQ(files[0].reading.columns.text, "words");
  EXPECT_EQ(files[0].reading.columns.label, "mood");
  EXPECT_EQ(files[1].reading.format, Format::kAuto);
  EXPECT_EQ(files[1].reading.columns.text, "words");
}

TEST_F(DataLocation, FormatDecidesTheExtension) {
  write("a/train.csv", "");
  write("b/train.tsv.gz", "");
  EXPECT_THAT(found(in_folder({}, Format::kCsv), "train"), ElementsAre("a train a/train.csv"));
  EXPECT_THAT(found(in_folder({}, Format::kTsv), "train"), ElementsAre("b train b/train.tsv.gz"));
  EXPECT_THAT(found(in_folder(), "train"),
              ElementsAre("a train a/train.csv", "b train b/train.tsv.gz"));
  expect_refused([&] { locate(in_folder({}, Format::kLines), "train", Log()); }, "E_CONFIG",
                 "lines of plain text hold no labels");
}

TEST_F(DataLocation, TwoFilesForOneSplit) {
  write("a/train.csv", "");
  write("a/train.jsonl", "");
  const Error error = refusal_of([&] { locate(in_folder(), "train", Log()); });
  EXPECT_EQ(error.code(), "E_CONFIG");
  EXPECT_THAT(error.what(), HasSubstr("could be the split train: train.csv, train.jsonl"));
  EXPECT_THAT(error.hint(), HasSubstr("--format says which one counts"));
  EXPECT_THAT(found(in_folder({}, Format::kCsv), "train"), ElementsAre("a train a/train.csv"));
  write("a/train.csv.gz", "");
  expect_refused([&] { locate(in_folder({}, Format::kCsv), "train", Log()); }, "E_CONFIG",
                 "has 2 files that could be the split train: train.csv, train.csv.gz");
}

TEST_F(DataLocation, NamesOfDomainsAreLowered) {
  write("SST-2/train.jsonl", "");
  write("AG News/train.jsonl", "");
  write("v1.5/train.jsonl", "");
  write("same/train.jsonl", "");
  DataOptions options = in_folder();
  options.files = {"Yelp.Full=" + (folder() / "y.csv").string()};
  EXPECT_THAT(found(options, "train"),
              ElementsAre("ag-news train AG News/train.jsonl", "same train same/train.jsonl",
                          "sst-2 train SST-2/train.jsonl", "v1-5 train v1.5/train.jsonl",
                          "yelp-full  y.csv"));
  EXPECT_THAT(said_.texts(),
              ElementsAre("AG News is domain ag-news, SST-2 is domain sst-2, v1.5 is domain v1-5, "
                          "Yelp.Full is domain yelp-full"));
}

TEST_F(DataLocation, FoldersOfTheSameNameHere) {
  write("SST-2/train.jsonl", "");
  write("sst.2/dev.jsonl", "");
  const Error error = refusal_of([&] { locate(in_folder(), "train", Log()); });
  EXPECT_EQ(error.code(), "E_CONFIG");
  EXPECT_THAT(error.what(),
              AllOf(HasSubstr("/SST-2"), HasSubstr("/sst.2"), HasSubstr("both domain sst-2")));
}

TEST_F(DataLocation, FolderThatCannotBeADomain) {
  write("a/train.jsonl", "");
  write("R&D/notes.txt", "");
  EXPECT_THAT(found(in_folder(), "train"), ElementsAre("a train a/train.jsonl"));
  fs::remove(folder() / "a/train.jsonl");
  write("R&D/train.jsonl", "");
  expect_refused([&] { locate(in_folder(), "train", Log()); }, "E_CONFIG",
                 "R&D cannot be a domain's name");
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
  write("b/.hidden", "");
  write("a/dev.csv", "");
  expect_refused([&] { locate(in_folder({}, Format::kTsv), "train", Log()); }, "E_DATA",
                 "no domain has train.tsv (folders seen: a (dev.csv); b (no file))");
  expect_refused([&] { locate(in_folder({}, Format::kTsv), "test-else-dev", Log()); }, "E_DATA",
                 "no domain has test.tsv or dev.tsv");
  write("train.tsv", "");
  EXPECT_THAT(refusal_of([&] { locate(in_folder({}, Format::kTsv), "train", Log()); }).hint(),
              HasSubstr("train.tsv is one domain's: name it with --data DOMAIN=FILE"));
}

TEST_F(DataLocation, TrainingFilesOfAFolder) {
  write("A/train.csv", "");
  write("A/dev.csv", "");
  write("b/dev.csv", "");
  const std::vector<DataFile> files = training_files(in_folder("dev"));
  ASSERT_EQ(files.size(), 1U);
  EXPECT_EQ(files[0].domain, "a");
  EXPECT_EQ(files[0].path, folder() / "A/train.csv");
  EXPECT_THAT(training_files(named({"a=1.csv"})), testing::IsEmpty());
}

TEST_F(DataLocation, NeitherFolderNorFile) {
  expect_refused([] { locate({}, "train", Log()); }, "E_CONFIG", "neither a folder nor files");
}

TEST_F(DataLocation, MalformedAssignment) {
  for (const char* text : {"emotion", "=file", "emotion=", ""}) {
    expect_refused([&] { locate(named({text}), "train", Log()); }, "E_CONFIG",
                   "DOMAIN=FILE is expected");
  }
  for (const std::string name : {"a/b", "a&b", "\xFF", "\xC3\xA9t\xC3\xA9", "a\tb"}) {
    expect_refused([&] { locate(named({name + "=f"}), "train", Log()); }, "E_CONFIG",
                   "cannot be a domain's name");
  }
  expect_refused([&] { locate(named({std::string(65, 'a') + "=f"}), "train", Log()); }, "E_CONFIG",
                 "cannot be a domain's name: a name has 1 to 64");
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
