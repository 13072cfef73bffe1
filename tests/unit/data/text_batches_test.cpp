#include "data/text_batches.h"

#include <atomic>
#include <thread>

#include "unit/data/data_files.h"
#include "unit/data/stdin_pipe.h"

namespace moecollab::data {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Clock = std::chrono::steady_clock;

constexpr int kLongMs = 60000;  // no test waits so long

std::vector<std::string> texts(const TextBatch& batch) {
  std::vector<std::string> texts;
  for (const TextItem& item : batch.items) {
    const auto* record = std::get_if<TextRecord>(&item);
    texts.push_back(record == nullptr ? "!" : record->text);
  }
  return texts;
}

class TextBatchesTest : public DataFiles {};

// However short the latency: what a file holds is there.
TEST_F(TextBatchesTest, BatchesOfFilesAreFull) {
  TextSource source({write("a.txt", "1\n2\n3\n"), write("b.jsonl", "{bad\n{\"text\": \"5\"}\n")});
  TextBatches batches(source, 2, 0, {});
  for (const auto& expected : {std::vector<std::string>{"1", "2"}, {"3", "!"}, {"5"}}) {
    const TextBatch batch = batches.next();
    EXPECT_EQ(texts(batch), expected);
    EXPECT_FALSE(batch.incomplete);
  }
  EXPECT_THAT(batches.next().items, IsEmpty());
  EXPECT_THAT(batches.next().items, IsEmpty());
}

TEST_F(TextBatchesTest, ALoneTextIsTakenAtOnce) {
  StdinPipe pipe;
  TextSource source({"-"});
  TextBatches batches(source, 4, 0, {});
  pipe.write("one\n");
  TextBatch batch = batches.next();
  EXPECT_THAT(texts(batch), ElementsAre("one"));
  EXPECT_TRUE(batch.incomplete);
  pipe.write("two\nthree\nfo");
  batch = batches.next();
  EXPECT_THAT(texts(batch), ElementsAre("two", "three")) << "what came meanwhile";
  EXPECT_TRUE(batch.incomplete);
  pipe.write("ur\n5\n6\n7\n8\n");
  batch = batches.next();
  EXPECT_THAT(texts(batch), ElementsAre("four", "5", "6", "7"));
  EXPECT_FALSE(batch.incomplete);
  pipe.close();
  batch = batches.next();
  EXPECT_THAT(texts(batch), ElementsAre("8"));
  EXPECT_FALSE(batch.incomplete) << "nothing can be missing at the end";
}

TEST_F(TextBatchesTest, ALatencyWaitsForMore) {
  StdinPipe pipe;
  TextSource source({"-"});
  TextBatches batches(source, 2, kLongMs, {});
  pipe.write("one\n");
  std::thread writer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    pipe.write("two\nthree\n");
    pipe.close();
  });
  EXPECT_THAT(texts(batches.next()), ElementsAre("one", "two"));
  EXPECT_THAT(texts(batches.next()), ElementsAre("three"));
  writer.join();
}

TEST_F(TextBatchesTest, ALatencyEnds) {
  StdinPipe pipe;
  TextSource source({"-"});
  TextBatches batches(source, 2, 150, {});
  pipe.write("one\n");
  const Clock::time_point start = Clock::now();
  EXPECT_TRUE(batches.next().incomplete);
  EXPECT_GE(Clock::now() - start, std::chrono::milliseconds(150));
}

TEST_F(TextBatchesTest, AStopEndsEveryWait) {
  StdinPipe pipe;
  TextSource source({"-"});
  std::atomic<bool> stop = false;
  TextBatches batches(source, 2, kLongMs, StopToken(stop));
  pipe.write("one\n");
  std::thread stopper([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    stop = true;
  });
  const Clock::time_point start = Clock::now();
  EXPECT_THAT(texts(batches.next()), ElementsAre("one")) << "it came before the stop";
  EXPECT_EQ(refusal_of([&] { batches.next(); }).code(), "E_INTERRUPTED");
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(10));
  stopper.join();
}

// As at Ctrl-C in a shell, which ends the writer of the pipe too.
TEST_F(TextBatchesTest, AStopAtTheEndIsAStop) {
  StdinPipe pipe;
  TextSource source({"-"});
  std::atomic<bool> stop = false;
  TextBatches batches(source, 2, 0, StopToken(stop));
  std::thread stopper([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    stop = true;
    pipe.close();
  });
  EXPECT_EQ(refusal_of([&] { batches.next(); }).code(), "E_INTERRUPTED");
  stopper.join();
}

TEST_F(TextBatchesTest, NothingIsReadForNobody) {
  StdinPipe pipe;
  TextSource source({"-"});
  std::atomic<bool> abandoned = false;
  TextBatches batches(source, 2, kLongMs, {}, StopToken(abandoned));
  std::thread leaver([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    abandoned = true;
  });
  EXPECT_THAT(batches.next().items, IsEmpty());
  leaver.join();
}

TEST_F(TextBatchesTest, AFailureComesAfterTheTextsBeforeIt) {
  TextSource source({write("a.txt", "1\n2\n3\n"), write("b.txt", "4"), write("c.txt", "5")});
  fs::remove(folder() / "b.txt");
  TextBatches batches(source, 2, 0, {});
  EXPECT_THAT(texts(batches.next()), ElementsAre("1", "2"));
  EXPECT_THAT(texts(batches.next()), ElementsAre("3"));
  EXPECT_EQ(refusal_of([&] { batches.next(); }).code(), "E_DATA");
  EXPECT_THAT(texts(batches.next()), ElementsAre("5")) << "a further call continues";
}

}  // namespace
}  // namespace moecollab::data
