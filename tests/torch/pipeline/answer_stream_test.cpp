#include "pipeline/answer_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "torch/toy_pool.h"
#include "unit/data/data_files.h"
#include "unit/data/stdin_pipe.h"

namespace moecollab::pipeline {
namespace {

using ::testing::ElementsAre;

// The toy's experts say "bad" to every text but "a good one".
struct AnswerStreamTest : data::DataFiles {
  AnswerStreamTest() {
    toy.expert(0).answers["a good one"] = {-9, 9};
    toy.expert(1).answers["a good one"] = {9, -9};
  }

  static PoolOptions one_thread() {
    PoolOptions options;
    options.compute.threads = 1;
    return options;
  }
  // The record as "line label" or "line!".
  static std::vector<std::string> shown(const AnsweredTexts& answered) {
    std::vector<std::string> lines;
    size_t next = 0;
    for (const data::TextItem& item : answered.items) {
      if (const auto* bad = std::get_if<data::BadRecord>(&item)) {
        lines.push_back(fmt::format("{}!", bad->line));
      } else {
        lines.push_back(fmt::format("{} {}", std::get<data::TextRecord>(item).line,
                                    answered.answers.at(next++).answer.label));
      }
    }
    EXPECT_EQ(next, answered.answers.size());
    return lines;
  }
  static std::vector<std::string> all(AnswerStream& stream) {
    std::vector<std::string> lines;
    while (const auto answered = stream.next()) {
      for (std::string& line : shown(*answered)) lines.push_back(std::move(line));
    }
    return lines;
  }
  // Every pass of the critic, by its number of texts.
  void record_passes(std::vector<size_t>& passes) {
    toy.expert(1).before_pass = [this, &passes] {
      const std::vector<std::string>& asked = toy.expert(0).asked;
      passes.push_back(asked.size() - seen);
      seen = asked.size();
    };
  }

  moecollab::testing::TinyEncoder tiny;
  moecollab::testing::ToyPool toy{tiny, "", one_thread()};
  Collaboration collaboration{toy.pool(), open_gate(toy.constant_gate(), toy.pool()),
                              fusion::Mode::kMixture, 0};
  Predictor predictor{collaboration, {.batch = 4}};
  size_t seen = 0;
};

TEST_F(AnswerStreamTest, AnswersStandInTheOrderOfTheRecords) {
  std::string lines;
  std::vector<std::string> expected;
  for (int i = 1; i <= 90; ++i) {
    lines += i % 7 == 0 ? "{bad\n"
                        : fmt::format("{{\"text\": \"{}\"}}\n", i % 3 == 0 ? "a good one" : "so");
    expected.push_back(i % 7 == 0   ? fmt::format("{}!", i)
                       : i % 3 == 0 ? fmt::format("{} good", i)
                                    : fmt::format("{} bad", i));
  }
  data::TextSource source({write("a.jsonl", lines)});
  AnswerStream stream(source, predictor, {.batch = 4}, {});
  EXPECT_EQ(all(stream), expected);
  EXPECT_FALSE(stream.ready());
  EXPECT_FALSE(stream.next()) << "the end is not the end";
}

// So that the answers to a file do not depend on how fast it is read or answered.
TEST_F(AnswerStreamTest, BatchesOfAFileAreThoseOfItsRecords) {
  std::vector<size_t> passes;
  record_passes(passes);
  data::TextSource source({write("a.jsonl",
                                 "{\"text\": \"1\"}\n{bad\n{bad\n{bad\n"
                                 "{\"text\": \"5\"}\n{bad\n{\"text\": \"7\"}\n{\"text\": \"8\"}\n"
                                 "{\"text\": \"9\"}\n")});
  AnswerStream stream(source, predictor, {.batch = 4}, {});
  EXPECT_EQ(all(stream).size(), 9U);
  EXPECT_THAT(passes, ElementsAre(1, 3, 1));
}

TEST_F(AnswerStreamTest, WhatComesWhileTheFirstIsAnsweredIsOneBatch) {
  std::vector<size_t> passes;
  record_passes(passes);
  std::promise<void> begun, released;
  toy.expert(0).before_pass = [&] {
    if (toy.expert(0).passes > 1) return;
    begun.set_value();
    released.get_future().wait();
  };
  data::StdinPipe pipe;
  data::TextSource source({"-"});
  AnswerStream stream(source, predictor, {.batch = 4}, {});
  std::future<std::vector<std::string>> first =
      std::async(std::launch::async, [&] { return shown(*stream.next()); });
  pipe.write("first\n");
  begun.get_future().wait();  // nobody waits for more texts
  for (const char* line : {"second\n", "third\n"}) {
    pipe.write(line);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  released.set_value();
  EXPECT_THAT(first.get(), ElementsAre("1 bad"));
  EXPECT_FALSE(stream.ready());
  EXPECT_THAT(shown(*stream.next()), ElementsAre("2 bad", "3 bad"));
  pipe.close();
  EXPECT_FALSE(stream.next());
  EXPECT_THAT(passes, ElementsAre(1, 2));
}

// To carry a lone text to another thread would delay its answer.
TEST_F(AnswerStreamTest, WhatComesAloneIsAnsweredByTheCallersThread) {
  std::thread::id answered_by;
  toy.expert(0).before_pass = [&] { answered_by = std::this_thread::get_id(); };
  data::StdinPipe pipe;
  data::TextSource source({"-"});
  AnswerStream stream(source, predictor, {.batch = 4}, {});
  pipe.write("1\n");
  EXPECT_THAT(shown(*stream.next()), ElementsAre("1 bad"));
  EXPECT_EQ(answered_by, std::this_thread::get_id());
  pipe.write("2\n3\n");
  EXPECT_THAT(shown(*stream.next()), ElementsAre("2 bad", "3 bad"));
  EXPECT_NE(answered_by, std::this_thread::get_id());
  pipe.write("4\n");  // the other thread still reads
  EXPECT_THAT(shown(*stream.next()), ElementsAre("4 bad"));
  pipe.write("5\n");
  EXPECT_THAT(shown(*stream.next()), ElementsAre("5 bad"));
  EXPECT_EQ(answered_by, std::this_thread::get_id());
  pipe.close();
  EXPECT_FALSE(stream.next());
  EXPECT_FALSE(stream.next());
}

// An endless input costs a bounded number of batches.
TEST_F(AnswerStreamTest, ReadingAheadEnds) {
  std::promise<void> released;
  std::shared_future<void> release = released.get_future().share();
  toy.expert(0).before_pass = [release] { release.wait(); };
  data::StdinPipe pipe;
  const std::string line = std::string(16000, 'x') + "\n";
  std::atomic<bool> written = false;
  std::thread writer([&] {
    for (int i = 0; i < 50; ++i) pipe.write(line);  // more than a pipe and what is read at a time
    written = true;
    pipe.close();
  });
  data::TextSource source({"-"});
  {
    AnswerStream stream(source, predictor, {.batch = 4, .latency_ms = 60000}, {});
    std::future<int64_t> first = std::async(
        std::launch::async, [&] { return static_cast<int64_t>(stream.next()->items.size()); });
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    EXPECT_FALSE(written);
    released.set_value();
    int64_t records = first.get();
    EXPECT_EQ(records, 4);
    while (const auto answered = stream.next())
      records += static_cast<int64_t>(answered->items.size());
    EXPECT_EQ(records, 50);
  }
  writer.join();
}

TEST_F(AnswerStreamTest, AnErrorOfReadingComesAfterTheAnswersBefore) {
  const fs::path gone = write("b.txt", "never\n");
  data::TextSource source({write("a.txt", "1\n2\n3\n4\n5\n"), gone});
  fs::remove(gone);
  AnswerStream stream(source, predictor, {.batch = 4}, {});
  EXPECT_EQ(stream.next()->items.size(), 4U);
  EXPECT_EQ(stream.next()->items.size(), 1U);
  EXPECT_EQ(data::refusal_of([&] { stream.next(); }).code(), "E_DATA");
}

TEST_F(AnswerStreamTest, AnErrorOfAnsweringReachesTheCaller) {
  toy.expert(1).fails = true;
  data::TextSource source({write("a.txt", "1\n2\n3\n4\n5\n6\n7\n8\n9\n")});
  AnswerStream stream(source, predictor, {.batch = 2}, {});
  EXPECT_STREQ(data::refusal_of([&] { stream.next(); }).what(), "expert fan: out of order");
}

TEST_F(AnswerStreamTest, AStopIsThrownAfterWhatWasRead) {
  std::atomic<bool> stop = false;
  std::promise<void> second_asked;
  toy.expert(0).before_pass = [&] {
    if (toy.expert(0).passes == 2) second_asked.set_value();
  };
  data::StdinPipe pipe;
  data::TextSource source({"-"});
  AnswerStream stream(source, predictor, {.batch = 1}, StopToken(stop));
  pipe.write("1\n2\n");
  EXPECT_THAT(shown(*stream.next()), ElementsAre("1 bad"));
  second_asked.get_future().wait();
  stop = true;
  EXPECT_THAT(shown(*stream.next()), ElementsAre("2 bad"));
  const Error error = data::refusal_of([&] { stream.next(); });
  EXPECT_EQ(error.code(), "E_INTERRUPTED");
  EXPECT_STREQ(error.what(), "interrupted; every line so far was answered");
}

// A caller that fails, as at a full disk, ends it at once, whatever is still there to be answered.
TEST_F(AnswerStreamTest, WhoLeavesWaitsForNoMoreThanThePass) {
  std::string lines;
  for (int i = 0; i < 1000; ++i) lines += "so\n";
  data::TextSource source({write("a.txt", lines)});
  {
    AnswerStream stream(source, predictor, {.batch = 4}, {});
    EXPECT_EQ(stream.next()->items.size(), 4U);
  }
  const size_t asked = predictor.submit({"another"}).get().size() + toy.expert(0).asked.size();
  EXPECT_LE(asked, 30U);
}

TEST_F(AnswerStreamTest, WhoLeavesDoesNotWaitForInput) {
  data::StdinPipe pipe;
  data::TextSource source({"-"});
  const auto start = std::chrono::steady_clock::now();
  { AnswerStream stream(source, predictor, {.batch = 4, .latency_ms = 60000}, {}); }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

}  // namespace
}  // namespace moecollab::pipeline
