#include "base/run_context.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace moecollab {
namespace {

using ::testing::ElementsAre;

// What is heard, with its level.
struct Ear : LogSink {
  void write(const Message& message) override {
    heard.push_back((message.level == Message::Level::kWarning ? "warning: " : "note: ") +
                    std::string(message.text) + "|" + std::string(message.hint));
  }
  std::vector<std::string> heard;
};

TEST(CollectingLog, PassesOnWhatIsSaidAndKeepsItInOrder) {
  Ear ear;
  CollectingLog notes{Log(ear)};
  notes.log().warning("the head is null", "train it again");
  notes.keep("the deep model is null");
  notes.log().note("the gate is old");
  EXPECT_THAT(ear.heard,
              ElementsAre("warning: the head is null|train it again", "note: the gate is old|"));
  EXPECT_THAT(notes.texts(),
              ElementsAre("the head is null", "the deep model is null", "the gate is old"));
}

TEST(StopToken, AsksForAStopOnceItsFlagIsSet) {
  std::atomic<bool> flag = false;
  const StopToken token(flag);
  EXPECT_NO_THROW(token.throw_if_requested("fitting was interrupted"));
  flag = true;
  EXPECT_TRUE(token.requested());
  try {
    token.throw_if_requested("fitting was interrupted", "run it again");
    ADD_FAILURE() << "continued";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_INTERRUPTED");
    EXPECT_STREQ(error.what(), "fitting was interrupted");
    EXPECT_EQ(error.hint(), "run it again");
  }
}

struct Watcher : ProgressDisplays {
  struct Display : ProgressDisplay {
    explicit Display(std::vector<std::string>& to) : lines(to) {}
    ~Display() override { lines.push_back("closed"); }
    void advance(int64_t steps, std::string_view detail) override {
      lines.push_back(std::to_string(steps) + " " + std::string(detail));
    }
    std::vector<std::string>& lines;
  };
  std::unique_ptr<ProgressDisplay> open(ProgressTask asked) override {
    task = std::move(asked);
    return std::make_unique<Display>(lines);
  }
  ProgressTask task;
  std::vector<std::string> lines;
};

TEST(RunContext, ProgressGoesToTheDisplayThatItOpens) {
  Watcher watcher;
  const RunContext context{Log(), StopToken(), &watcher};
  {
    Progress progress = context.progress("refit", "epoch", 8, 3);
    progress.advance(2, "loss 0.5");
    progress.advance();
  }
  EXPECT_EQ(watcher.task.what, "refit");
  EXPECT_EQ(watcher.task.unit, "epoch");
  EXPECT_EQ(watcher.task.total, 8);
  EXPECT_EQ(watcher.task.done, 3);
  EXPECT_THAT(watcher.lines, ElementsAre("2 loss 0.5", "1 ", "closed"));
}

TEST(RunContext, OneMadeByDefaultSaysStopsAndShowsNothing) {
  const RunContext context;
  context.log.warning("nobody hears it");
  EXPECT_FALSE(context.stop.requested());
  context.progress("refit", "epoch", 8).advance();
}

}  // namespace
}  // namespace moecollab
