#include "scale/pseudo_domains.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/error.h"

namespace moecollab::scale {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// `count` texts of a label, each longer than the one before.
void add(data::Dataset& dataset, const std::string& label, int count) {
  for (int i = 0; i < count; ++i)
    dataset.examples.push_back({label + std::string(static_cast<size_t>(i), '.'), label, i + 1});
}

data::Dataset dataset(const std::string& domain,
                      const std::vector<std::pair<const char*, int>>& labels) {
  data::Dataset result;
  result.domain = domain;
  result.file = domain + ".jsonl";
  for (const auto& [label, count] : labels) add(result, label, count);
  return result;
}

std::vector<std::string> names(const std::vector<PseudoDomain>& domains) {
  std::vector<std::string> all;
  for (const PseudoDomain& domain : domains) all.push_back(domain.name);
  return all;
}

std::set<std::string> labels(const std::vector<data::Example>& examples) {
  std::set<std::string> all;
  for (const data::Example& example : examples) all.insert(example.label);
  return all;
}

TEST(PseudoDomains, DealLabelsByFrequencyAndComeInTurn) {
  const std::vector<data::Dataset> training = {
      dataset("a", {{"p", 50}, {"q", 40}, {"r", 30}, {"s", 20}, {"t", 15}}),
      dataset("b", {{"yes", 12}, {"no", 12}})};
  const std::vector<data::Dataset> judged = {dataset("a", {{"p", 5}, {"q", 4}}),
                                             dataset("b", {{"yes", 3}})};
  const auto domains = pseudo_domains(training, judged, 3);
  EXPECT_THAT(names(domains), ElementsAre("a-1", "b", "a-2"));
  EXPECT_THAT(labels(domains[0].training), ElementsAre("p", "r", "t"));
  EXPECT_THAT(labels(domains[2].training), ElementsAre("q", "s"));
  EXPECT_EQ(domains[0].training.size(), 95U);
  EXPECT_EQ(domains[0].judged.size(), 5U);
  EXPECT_EQ(domains[2].source, "a");
  EXPECT_THAT(names(pseudo_domains(training, judged, 2)), ElementsAre("a-1", "b"));
}

TEST(PseudoDomains, HalveTheLargestWhileBothHalvesHaveEnoughOfEachLabel) {
  const std::vector<data::Dataset> training = {dataset("a", {{"p", 60}, {"q", 60}}),
                                               dataset("b", {{"yes", 19}, {"no", 19}})};
  const std::vector<data::Dataset> judged = {dataset("a", {{"p", 60}, {"q", 60}}),
                                             dataset("b", {{"yes", 19}, {"no", 19}})};
  const auto domains = pseudo_domains(training, judged, 100);
  // b would have nine of a label in a half; a is halved twice at most.
  EXPECT_THAT(names(domains), ElementsAre("a-ss", "b", "a-sl", "a-ls", "a-ll"));
  size_t texts = 0, longest = 0;
  for (const PseudoDomain& domain : domains) {
    texts += domain.source == "a" ? domain.training.size() : 0;
    if (domain.source != "a") continue;
    for (const char* label : {"p", "q"}) {
      EXPECT_GE(std::ranges::count(domain.training, label, &data::Example::label), kLeastOfALabel);
    }
    for (const data::Example& example : domain.training)
      EXPECT_GE(example.text.size() + 1, longest) << domain.name;  // parts ascend
    for (const data::Example& example : domain.training)
      longest = std::max(longest, example.text.size());
  }
  EXPECT_EQ(texts, 120U);
}

TEST(PseudoDomains, RefuseWhatCannotBeCut) {
  const auto refusal = [](const std::vector<data::Dataset>& training,
                          const std::vector<data::Dataset>& judged) -> std::string {
    try {
      pseudo_domains(training, judged, 4);
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  };
  const data::Dataset good = dataset("a", {{"p", 20}, {"q", 20}});
  EXPECT_EQ(refusal({good}, {good}), "accepted");
  EXPECT_THAT(refusal({dataset("a", {{"p", 20}})}, {good}), HasSubstr("one label only, p"));
  EXPECT_THAT(refusal({good}, {dataset("a", {{"z", 1}})}),
              HasSubstr("a.jsonl:1: label z is not in"));
  const data::Dataset four = dataset("a", {{"p", 15}, {"q", 15}, {"r", 15}, {"s", 15}});
  const data::Dataset same = dataset("a-1", {{"p", 15}, {"q", 15}});
  EXPECT_THAT(refusal({four, same}, {four, same}),
              HasSubstr("parts of the domains a and a-1 would both be a-1"));
  const data::Dataset longer = dataset(std::string(60, 'x'), {{"p", 20}, {"q", 20}});
  EXPECT_THAT(refusal({longer}, {longer}), HasSubstr("has a name of 60 bytes"));
  EXPECT_THAT(refusal({good}, {dataset("b", {{"p", 1}})}),
              HasSubstr("domain b has no training file"));
}

TEST(PseudoDomains, AreWrittenAsTheyAreRead) {
  EXPECT_EQ(jsonl({{"say \"hi\"\n", "x", 1}, {"é", "y", 2}}),
            "{\"text\":\"say \\\"hi\\\"\\n\",\"label\":\"x\"}\n{\"text\":\"é\",\"label\":\"y\"}\n");
}

}  // namespace
}  // namespace moecollab::scale
