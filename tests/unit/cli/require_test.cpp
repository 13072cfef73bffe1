#include "cli/require.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace moecollab::cli {
namespace {

const Json kReport = {{"overall", {{"accuracy", 0.75}, {"ece", nullptr}}},
                      {"domains", {{"news", {{"moe", {{"accuracy", 0.9}}}}}}}};

std::string code_of(const std::string& expression) {
  try {
    Requirement::parse(expression).check(kReport);
  } catch (const Error& error) {
    return error.code();
  }
  return "met";
}

TEST(Require, ABareNameMeansOverall) {
  EXPECT_EQ(code_of("accuracy>=0.75"), "met");
  EXPECT_EQ(code_of("accuracy>0.75"), "E_REQUIRE");
  EXPECT_EQ(code_of("accuracy<=0.75"), "met");
  EXPECT_EQ(code_of("accuracy<0.75"), "E_REQUIRE");
  EXPECT_EQ(code_of("accuracy==0.75"), "met");
}

TEST(Require, DottedPathsReachAnyNumber) {
  EXPECT_EQ(code_of("domains.news.moe.accuracy>=0.9"), "met");
  EXPECT_EQ(code_of("domains.news.moe.accuracy>=0.91"), "E_REQUIRE");
}

TEST(Require, APathThatNoReportHasIsFoundBeforeThereIsOne) {
  for (const char* path : {"macro_f2", "overall.acuracy", "domain.news.n", "experts_count.x"}) {
    EXPECT_THROW(Requirement::parse(std::string(path) + ">=0.5"), Error) << path;
  }
  for (const char* path : {"macro_f1", "overall.truncated", "domains.news.n", "gate.n_eff"}) {
    EXPECT_NO_THROW(Requirement::parse(std::string(path) + ">=0.5")) << path;
  }
}

TEST(Require, WhatCannotBeCheckedIsAnErrorNotAPass) {
  EXPECT_EQ(code_of("overall.ece>=0"), "E_CONFIG") << "null is no number";
  EXPECT_EQ(code_of("domains.sports.moe.accuracy>=0"), "E_CONFIG");
  for (const char* malformed : {"", "accuracy", "accuracy>=", ">=1", "accuracy=>1",
                                "accuracy>=high", "accuracy>=1x", "accuracy=1"}) {
    EXPECT_EQ(code_of(malformed), "E_CONFIG") << malformed;
  }
}

}  // namespace
}  // namespace moecollab::cli
