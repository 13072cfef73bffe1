#include "registry/resolution.h"

#include <sys/stat.h>

#include <string>

#include "registry/label_spaces.h"
#include "unit/registry/fixtures.h"

namespace moecollab::registry {
namespace {

using testing::HasSubstr;

class ResolutionTest : public testing::Test {
 protected:
  void install(const std::string& name, const std::string& version) {
    install_package(root_.path(), name, version);
  }
  void ask(const std::string& name, const std::string& range) {
    ExpertEntry entry;
    entry.name = name;
    entry.id = "com.example." + name;
    entry.version = VersionRange::parse(range);
    registry_.experts.push_back(entry);
  }
  std::vector<Candidate> resolved() { return resolve(root_.path(), registry_, lock_); }
  Candidate only() {
    std::vector<Candidate> candidates = resolved();
    EXPECT_EQ(candidates.size(), 1u);
    return candidates.at(0);
  }
  void expect_refused(const std::string& code, const std::string& part) {
    const Candidate candidate = only();
    EXPECT_EQ(candidate.state, State::kRefused);
    ASSERT_TRUE(candidate.refusal.has_value());
    EXPECT_EQ(candidate.refusal->code, code);
    EXPECT_THAT(candidate.refusal->rule, HasSubstr(part));
  }
  void lock_at(const std::string& version, const std::string& id) {
    LockEntry entry;
    entry.name = "legal";
    entry.id = id;
    entry.version = Version::parse(version);
    lock_.entries = {entry};
  }
  fs::path experts() const { return root_.path() / "experts"; }

  TemporaryFolder root_;
  RegistryFile registry_;
  Lock lock_;
};

TEST_F(ResolutionTest, NothingAskedNothingThere) { EXPECT_TRUE(resolved().empty()); }

TEST_F(ResolutionTest, TakesTheHighestVersionInRange) {
  for (const char* version : {"1.9.0", "2.1.0", "2.10.0", "2.11.0-rc.1", "3.0.0"})
    install("legal", version);
  ask("legal", "^2.0");
  const Candidate candidate = only();
  EXPECT_EQ(candidate.state, State::kManifestOk);
  EXPECT_FALSE(candidate.refusal.has_value());
  ASSERT_TRUE(candidate.package.has_value());
  EXPECT_EQ(candidate.package->manifest.expert.version.text(), "2.10.0");
  EXPECT_EQ(candidate.package->folder, experts() / "legal" / "2.10.0");
  EXPECT_EQ(candidate.entry->id, "com.example.legal");
}

TEST_F(ResolutionTest, MissingNamesWhatIsThere) {
  ask("legal", "^2.0");
  expect_refused("E_REG_MISSING", "no version in ^2.0; there is no version at all");
  install("legal", "1.0.0");
  install("legal", "3.1.0");
  fs::create_directory(experts() / "legal" / "notes");
  expect_refused("E_REG_MISSING", "there is 1.0.0, 3.1.0");
}

TEST_F(ResolutionTest, R10_LowerThanTheLocks) {
  install("legal", "2.1.0");
  ask("legal", "^2.0");
  lock_at("2.2.0", "com.example.legal");
  expect_refused("E_PLUG_ROLLBACK", "version 2.1.0 is lower than 2.2.0");
  EXPECT_THAT(only().refusal->hint, HasSubstr("--allow-downgrade"));
  lock_at("2.1.0", "com.example.legal");
  EXPECT_EQ(only().state, State::kManifestOk);
  lock_at("2.0.0", "com.example.legal");
  EXPECT_EQ(only().state, State::kManifestOk);
  lock_at("9.0.0", "com.example.another");
  EXPECT_EQ(only().state, State::kManifestOk);
}

TEST_F(ResolutionTest, IdAndFolderAgreeWithTheManifest) {
  install("legal", "2.1.0");
  ask("legal", "*");
  registry_.experts[0].id = "org.other";
  expect_refused("E_DESC_MISMATCH", "asks for id org.other, the package is com.example.legal");
  registry_.experts[0].id = "com.example.legal";
  fs::rename(experts() / "legal" / "2.1.0", experts() / "legal" / "2.2.0");
  expect_refused("E_DESC_MISMATCH", "folder says version 2.2.0, the manifest 2.1.0");
}

TEST_F(ResolutionTest, OneBrokenExpertLeavesTheOthers) {
  install("legal", "2.1.0");
  install("news", "1.0.0");
  write(experts() / "legal" / "2.1.0" / "expert.toml", "schema = [");
  ask("legal", "*");
  ask("news", "*");
  ask("absent", "*");
  const std::vector<Candidate> candidates = resolved();
  ASSERT_EQ(candidates.size(), 3u);
  EXPECT_EQ(candidates[0].refusal->code, "E_REG_SYNTAX");
  EXPECT_EQ(candidates[1].state, State::kManifestOk);
  EXPECT_EQ(candidates[2].refusal->code, "E_REG_MISSING");
}

TEST_F(ResolutionTest, FoldersThatNobodyAskedForAreListed) {
  install("legal", "2.1.0");
  install("news", "1.0.0");
  write(experts() / "stray.txt", "x");
  ask("news", "*");
  const std::vector<Candidate> candidates = resolved();
  ASSERT_EQ(candidates.size(), 3u);
  EXPECT_EQ(candidates[0].name, "news");
  EXPECT_EQ(candidates[1].name, "legal");
  EXPECT_FALSE(candidates[1].entry.has_value());
  EXPECT_EQ(candidates[1].state, State::kFound);
  EXPECT_TRUE(candidates[1].package.has_value());
  EXPECT_EQ(candidates[2].name, "stray.txt");
  EXPECT_EQ(candidates[2].refusal->code, "E_PLUG_PATH");
}

TEST_F(ResolutionTest, AFolderWithoutAVersionIsNoExpertUnlessOneIsAskedFor) {
  write(experts() / "example" / "expert.toml", manifest_text());
  fs::create_directories(experts() / "example" / "notes");
  EXPECT_TRUE(resolved().empty());
  ask("example", "*");
  expect_refused("E_REG_MISSING", "there is no version at all");
}

TEST_F(ResolutionTest, ADesktopsFilesAreNoExperts) {
  install("legal", "1.0.0");
  for (const char* name : {".DS_Store", "._legal", ".directory", "Thumbs.db", "desktop.ini"}) {
    write(experts() / name, "x");
    write(experts() / "legal" / name, "x");
  }
  EXPECT_EQ(only().name, "legal");
  write(experts() / "notes.txt", "x");
  EXPECT_EQ(resolved().size(), 2u);
}

TEST_F(ResolutionTest, ADisabledExpertStaysDisabledWhateverIsWrong) {
  install("legal", "2.1.0");
  ask("legal", "*");
  registry_.experts[0].enabled = false;
  EXPECT_EQ(only().state, State::kDisabled);
  EXPECT_TRUE(only().package.has_value());
  fs::remove_all(experts() / "legal");
  EXPECT_EQ(only().state, State::kDisabled);
  EXPECT_EQ(only().refusal->code, "E_REG_MISSING");
}

TEST_F(ResolutionTest, R06_LinkedFoldersAreRefused) {
  install("news", "1.0.0");
  ask("legal", "*");
  ask("news", "*");
  const fs::path elsewhere = root_.path() / "elsewhere";
  fs::rename(experts() / "news" / "1.0.0", elsewhere);
  fs::create_directory_symlink(elsewhere, experts() / "news" / "1.0.0");
  fs::create_directory_symlink(experts() / "news", experts() / "legal");
  for (const Candidate& candidate : resolved()) {
    ASSERT_TRUE(candidate.refusal.has_value()) << candidate.name;
    EXPECT_EQ(candidate.refusal->code, "E_PLUG_PATH");
    EXPECT_THAT(candidate.refusal->rule, HasSubstr("symbolic link"));
  }
}

TEST_F(ResolutionTest, AnExpertsFolderThatIsAFileIsTheRegistrysFault) {
  write(experts(), "x");
  expect_error([&] { resolved(); }, "E_REG_IO", "experts cannot be read");
}

// Label spaces: candidates as resolve() leaves them, the labels given.
Candidate candidate(const std::string& name, std::vector<std::string> labels,
                    bool partial = false) {
  Candidate result;
  result.name = name;
  result.entry = ExpertEntry{};
  result.package = Package{"x", parse_manifest(manifest_text(), "m"), ""};
  result.package->manifest.task.labels = std::move(labels);
  result.package->manifest.task.partial = partial;
  result.state = State::kManifestOk;
  return result;
}

TEST(LabelSpaces, TheSameSetInAnyOrderAgrees) {
  std::vector<Candidate> all = {candidate("a", {"x", "y", "z"}), candidate("b", {"z", "x", "y"})};
  check_label_spaces({}, all);
  EXPECT_EQ(all[0].state, State::kManifestOk);
  EXPECT_EQ(all[1].state, State::kManifestOk);
}

TEST(LabelSpaces, TheLaterOfTwoThatDisagreeIsRefused) {
  std::vector<Candidate> all = {candidate("a", {"x", "y"}), candidate("b", {"y", "w"})};
  check_label_spaces({}, all);
  EXPECT_EQ(all[0].state, State::kManifestOk);
  ASSERT_TRUE(all[1].refusal.has_value());
  EXPECT_EQ(all[1].state, State::kRefused);
  EXPECT_EQ(all[1].refusal->code, "E_DESC_LABELS");
  EXPECT_EQ(all[1].refusal->rule,
            "b: label space legal/1: label \"w\" is not among those of expert a");
}

TEST(LabelSpaces, ASubsetMustSayThatItIsPartial) {
  std::vector<Candidate> all = {candidate("p", {"y"}, true), candidate("a", {"x", "y"}),
                                candidate("b", {"y"}), candidate("q", {"w"}, true)};
  check_label_spaces({}, all);
  EXPECT_EQ(all[0].state, State::kManifestOk);
  EXPECT_EQ(all[1].state, State::kManifestOk);
  ASSERT_TRUE(all[2].refusal.has_value());
  EXPECT_THAT(all[2].refusal->rule, HasSubstr("label \"x\" of expert a is missing"));
  ASSERT_TRUE(all[3].refusal.has_value());
  EXPECT_THAT(all[3].refusal->rule, HasSubstr("label \"w\" is not among those of expert a"));
}

TEST(LabelSpaces, TheOperatorsDefinitionComesFirst) {
  std::vector<Candidate> all = {candidate("a", {"x", "y"}), candidate("b", {"x", "z"})};
  check_label_spaces({{"legal/1", {"z", "x"}}}, all);
  ASSERT_TRUE(all[0].refusal.has_value());
  EXPECT_THAT(all[0].refusal->rule, HasSubstr("label \"y\" is not among those of registry.toml"));
  EXPECT_EQ(all[1].state, State::kManifestOk);
}

TEST(LabelSpaces, OtherSpacesAndThoseWhoTakeNoPartDoNotCount) {
  std::vector<Candidate> all = {candidate("a", {"w"}), candidate("b", {"v"}), candidate("c", {"x"}),
                                candidate("d", {"y"})};
  all[0].state = State::kDisabled;
  all[1].package->manifest.task.label_space = "other/1";
  all[2].entry.reset();
  check_label_spaces({}, all);
  for (const Candidate& one : all) EXPECT_FALSE(one.refusal.has_value()) << one.name;
}

}  // namespace
}  // namespace moecollab::registry
