#include "evaluation/histories.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace moecollab::evaluation {
namespace {

TEST(Histories, AreReadAndAFileThatCannotBeReadIsNoted) {
  const TemporaryFolder folder;
  make_folder(folder.path() / "gate");
  make_folder(folder.path() / "history");
  write_file_atomic(folder.path() / "history" / "words.jsonl",
                    R"({"phase": "choose", "epoch": 1, "train_loss": 1.0, "held_out_loss": 2.0, )"
                    R"("seconds": 1.5, "held_out_accuracy": 0.5, "tokens": 3, )"
                    "\"peak_rss_bytes\": 4}\n");
  CollectingLog notes{Log()};
  Json training = read_training(folder.path(), {"words", "untrained"}, notes);
  EXPECT_TRUE(training["gate"].is_null());
  EXPECT_EQ(training["experts"].size(), 1U);
  EXPECT_EQ(training["experts"]["words"]["epochs"][0]["train_loss"], 1.0);
  EXPECT_TRUE(notes.texts().empty());

  write_file_atomic(folder.path() / "gate" / "history.jsonl", "{\"phase\": \"choose\"\n");
  training = read_training(folder.path(), {"words"}, notes);
  EXPECT_TRUE(training["gate"].is_null());
  EXPECT_THAT(notes.texts(),
              testing::ElementsAre(testing::AllOf(testing::HasSubstr("gate/history.jsonl"),
                                                  testing::HasSubstr("cannot be read"))));
}

}  // namespace
}  // namespace moecollab::evaluation
