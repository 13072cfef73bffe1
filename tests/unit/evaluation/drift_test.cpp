#include "evaluation/drift.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/error.h"
#include "base/files.h"
#include "evaluation/monitor_file.h"
#include "unit/in_brief.h"

namespace moecollab::evaluation {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

const std::vector<std::string> kExperts{"feel", "know"};

// `texts` of them, a share of which the first expert answers, sure of it.
Profile profile(int texts, double first) {
  Profile made;
  for (int i = 0; i < texts; ++i) {
    const bool is_first = i < first * texts;
    const std::vector<double> shares = is_first ? std::vector{1.0, 0.0} : std::vector{0.0, 1.0};
    made.add(kExperts, shares, is_first ? "mood/1: sad" : "topic/1: art");
  }
  return made;
}

// H(0.5, 0.5) is ln 2, so the last bin; H(1, 0) is 0, so the first; H(0.9, 0.1) = 0.469·ln 2.
TEST(ProfileOfTexts, CountsWeightEntropyAndAnswers) {
  Profile made;
  made.add(kExperts, std::vector{0.5, 0.5}, "mood/1: sad");
  made.add(kExperts, std::vector{1.0, 0.0}, "mood/1: sad");
  made.add(kExperts, std::vector{0.9, 0.1}, "");
  EXPECT_EQ(made.texts, 3);
  EXPECT_DOUBLE_EQ(made.load.at("feel"), 2.4);
  EXPECT_DOUBLE_EQ(made.load.at("know"), 0.6);
  EXPECT_THAT(made.entropy, ElementsAre(1, 0, 0, 0, 0, 0, 1, 0, 0, 1));
  EXPECT_EQ(made.answers, (std::map<std::string, double>{{"mood/1: sad", 2}}));
}

// The same for a single expert: there is no entropy.
TEST(ProfileOfTexts, HasNoEntropyWithOneExpert) {
  Profile made;
  made.add(std::vector<std::string>{"feel"}, std::vector{1.0}, "");
  EXPECT_EQ(made.entropy.front(), 1);
}

TEST(ProfileOfTexts, ComesBackFromJson) {
  const Profiles written{{"mood/1", profile(7, 0.5)}, {"topic/1", profile(3, 0)}};
  const Profiles read = profiles_from(to_json(written));
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read.at("mood/1").load, written.at("mood/1").load);
  EXPECT_EQ(read.at("mood/1").entropy, written.at("mood/1").entropy);
  EXPECT_EQ(read.at("topic/1").answers, written.at("topic/1").answers);
  EXPECT_TRUE(profiles_from(nullptr).empty());
}

TEST(ProfileOfTexts, ThatIsNoneIsRefusedByItsKey) {
  const auto refusal = [](const char* key, Json value) {
    Json json = to_json(Profiles{{"mood/1", profile(7, 0.5)}});
    json["mood/1"][key] = std::move(value);
    try {
      profiles_from(json);
    } catch (const Error& error) {
      return error.code() + " " + error.what();
    }
    return std::string("taken");
  };
  const auto named = [](const char* key) {
    return AllOf(HasSubstr("E_GATE"), HasSubstr(std::string("metrics.profile.mood/1") + key));
  };
  EXPECT_THAT(refusal("texts", 0), named(".texts"));
  EXPECT_THAT(refusal("texts", "many"), named(".texts"));
  EXPECT_THAT(refusal("entropy", Json::array({1, 2})), named(".entropy"));
  EXPECT_THAT(refusal("entropy", Json(std::vector<double>(10, -1))), named(".entropy"));
  EXPECT_THAT(refusal("load", {{"feel", -1}}), named(".load.feel"));
  EXPECT_THAT(refusal("answers", {{"sad", "x"}}), named(".answers.sad"));
}

// In proportion 1 : 1 there are 10 + 10 among 40 and 10 texts.
TEST(ProfileOfTexts, InProportionOfOtherTexts) {
  const Profiles profiles{{"mood/1", profile(40, 1)}, {"topic/1", profile(10, 0)}};
  const Profile even = in_proportion(profiles, {{"mood/1", 300}, {"topic/1", 300}});
  EXPECT_DOUBLE_EQ(even.texts, 20);
  EXPECT_DOUBLE_EQ(even.load.at("feel"), 10);
  EXPECT_DOUBLE_EQ(together(profiles).load.at("feel"), 40);
}

// Shares with half a text more in each of two cells: 25.5/51 = 1/2 both before, 40.5/51 and 10.5/51
// now. Σ (q − p)·ln(q/p).
TEST(Drift, IsThePopulationStabilityIndex) {
  const Drift drift = find_drift(profile(50, 0.5), profile(50, 0.8));
  const double q = 40.5 / 51, rest = 10.5 / 51;
  const double psi = (q - 0.5) * std::log(q / 0.5) + (rest - 0.5) * std::log(rest / 0.5);
  EXPECT_NEAR(drift.load.psi, psi, 1e-12);
  EXPECT_NEAR(drift.answers->psi, psi, 1e-12);
  EXPECT_EQ(drift.entropy.psi, 0);
  EXPECT_EQ(drift.texts, 50);
  ASSERT_EQ(drift.load.cells.size(), 2u);
  EXPECT_EQ(drift.load.cells[0].name, "know");
  EXPECT_EQ(drift.load.cells[0].before, 0.5);
  EXPECT_EQ(drift.load.cells[0].now, 0.2);
  EXPECT_EQ(describe(drift.load), "know 20.0 % (50.0 %), feel 80.0 % (50.0 %)");
}

// 99 % of the pairs from one distribution are inside, so half a pair of 100 is above it.
TEST(Drift, BandHoldsTextsOfOneKind) {
  std::mt19937_64 random(7);
  const auto draw = [&](int texts) {
    Profile made;
    for (int i = 0; i < texts; ++i) {
      const bool first = static_cast<double>(random() >> 11) * 0x1.0p-53 < 0.3;
      made.add(kExperts, first ? std::vector{1.0, 0.0} : std::vector{0.0, 1.0}, "");
    }
    return made;
  };
  const int times = in_brief() ? 10 : 100;
  int above = 0;
  for (int i = 0; i < times; ++i) {
    const Shift shift = find_drift(draw(300), draw(300)).load;
    above += shift.psi > shift.band.high ? 1 : 0;
  }
  EXPECT_LE(above, 4);
}

TEST(Drift, NeedsAMajorShiftBeyondChance) {
  EXPECT_TRUE(find_drift(profile(200, 0.5), profile(200, 0.9)).load.is_drift());
  EXPECT_FALSE(find_drift(profile(200, 0.5), profile(200, 0.6)).load.is_drift()) << "a minor one";
  const Shift few = find_drift(profile(4, 0.5), profile(4, 0.75)).load;
  EXPECT_FALSE(few.is_drift()) << "four texts";
  EXPECT_GT(few.band.high, few.psi);
}

// 200,000 texts against as many are drawn as 5,000, and psi is a fortieth of theirs.
TEST(Drift, BandOfManyTextsIsNarrow) {
  Profile many = profile(1000, 0.5), few = profile(1000, 0.5);
  for (int i = 0; i < 199; ++i) many.add(profile(1000, 0.5));
  const double wide = find_drift(few, few).load.band.high;
  const double narrow = find_drift(many, many).load.band.high;
  EXPECT_NEAR(narrow / wide, 1.0 / 200, 0.25 / 200);
}

// A great reference does not narrow the band of a few texts: psi of 40 texts is off by their
// chance.
TEST(Drift, BandOfFewTextsIsWideWhateverTheReference) {
  Profile many = profile(1000, 0.5);
  for (int i = 0; i < 49; ++i) many.add(profile(1000, 0.5));
  const double few = find_drift(many, profile(40, 0.5)).load.band.high;
  const double alike = find_drift(profile(5000, 0.5), profile(40, 0.5)).load.band.high;
  EXPECT_NEAR(few, alike, 0.2 * alike);
  EXPECT_GT(few, 0.1);
}

// Twenty labels that moved alike: none adds a tenth to the index, and one is named all the same.
TEST(Drift, AlwaysNamesWhatMovedMost) {
  Profile before, now;
  for (int i = 0; i < 400; ++i) {
    before.add(kExperts, std::vector{1.0, 0.0}, "s: a" + std::to_string(i % 20));
    now.add(kExperts, std::vector{1.0, 0.0}, "s: b" + std::to_string(i % 20));
  }
  EXPECT_EQ(find_drift(before, now).answers->cells.size(), 1u);
}

TEST(Drift, WithoutAnswersHasNone) {
  Profile silent;
  silent.add(kExperts, std::vector{1.0, 0.0}, "");
  const Drift drift = find_drift(profile(50, 0.5), silent);
  EXPECT_FALSE(drift.answers);
  EXPECT_TRUE(to_json(drift)["answers"].is_null());
}

TEST(MonitorFile, KeepsLinesInOrder) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "monitor.jsonl";
  EXPECT_TRUE(read_monitor(file).empty());
  for (const double now : {0.5, 0.9}) {
    const Drift drift = find_drift(profile(50, 0.5), profile(50, now));
    append_line(file, to_line(monitor_line("predict", "aa", drift)));
  }
  const std::vector<Json> lines = read_monitor(file);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["load"]["psi"], 0);
  EXPECT_GT(lines[1]["load"]["psi"], kDriftPsi);
  EXPECT_EQ(lines[1]["by"], "predict");
}

// Every cut and every changed byte of a line: it is read as it is, or refused with its number.
TEST(MonitorFile, ACutLastLineIsNoLineAndTheNextBeginsANewOne) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "monitor.jsonl";
  const std::string line =
      to_line(monitor_line("eval", "aa", find_drift(profile(9, 0.5), profile(9, 0.5))));
  write_file_atomic(file, line + "\n" + line.substr(0, 20));
  EXPECT_EQ(read_monitor(file).size(), 1u);
  append_line(file, line);
  EXPECT_EQ(read_file(file, "E_TEST"), line + "\n" + line.substr(0, 20) + "\n" + line + "\n");
}

TEST(MonitorFile, DamagedIsRefusedByLine) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "monitor.jsonl";
  const std::string good =
      to_line(monitor_line("eval", "aa", find_drift(profile(9, 0.5), profile(9, 0.5))));
  int refused = 0;
  const auto try_line = [&](const std::string& line) {
    write_file_atomic(file, good + "\n" + line + "\n");
    try {
      EXPECT_EQ(read_monitor(file).size(), 2u);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), "E_DATA");
      EXPECT_THAT(error.what(), HasSubstr("monitor.jsonl:2"));
      ++refused;
    }
  };
  for (size_t cut = 0; cut < good.size(); cut += 3) try_line(good.substr(0, cut));
  EXPECT_EQ(refused, static_cast<int>((good.size() + 2) / 3));
  for (size_t at = 0; at < good.size(); at += 3) {
    std::string other = good;
    other[at] = '\x01';
    try_line(other);
  }
  for (const char* line : {"[]", "7", "{}", "null"}) try_line(line);
}

}  // namespace
}  // namespace moecollab::evaluation
