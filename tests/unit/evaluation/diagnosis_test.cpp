// Every sign provoked in figures that are healthy but for one thing.
#include "evaluation/diagnosis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace moecollab::evaluation {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int kTexts = 200;  // of each domain

// An expert of this accuracy and confidence over labels first and first + 1, which are equally
// frequent.
OwnAnswers answers(int expert, int first, double accuracy, double confidence) {
  OwnAnswers own;
  own.expert = expert;
  for (int i = 0; i < kTexts; ++i) {
    const int truth = first + i % 2;
    const bool right = i < accuracy * kTexts;
    own.truth.push_back(truth);
    own.answer.push_back(right ? truth : 2 * first + 1 - truth);
    own.confidence.push_back(confidence);
  }
  return own;
}

// Two domains; `own` gets 0.9 of its texts' weight. Both experts are right on 80 % and 80 % sure.
Figures healthy(double own = 0.9) {
  Figures figures;
  figures.labels.add({"mood/1", {"sad", "glad"}}, false);
  figures.labels.add({"topic/1", {"art", "law"}}, false);
  for (int d = 0; d < 2; ++d) {
    DomainFigures domain;
    domain.domain = d == 0 ? "moods" : "topics";
    domain.space = d;
    domain.own = {answers(d, 2 * d, 0.8, 0.8)};
    domain.truth = domain.own[0].truth;
    for (int i = 0; i < kTexts; ++i) {
      domain.gate.push_back(d == 0 ? own : 1 - own);
      domain.gate.push_back(d == 0 ? 1 - own : own);
    }
    figures.domains.push_back(domain);
  }
  figures.gate = {"mixture", "mixture", 0, 0, 0, {"feel", "know"}, {0, 1}};
  figures.gate.held_out_accuracy = {0.81, std::nan("")};
  figures.gate.held_out_texts = {200, 200};
  return figures;
}

// The gate's shares before top-k, the same as those that count unless a test says otherwise.
Figures profiled(Figures figures) {
  const std::vector<std::string>& experts = figures.gate.experts;
  for (DomainFigures& domain : figures.domains) {
    if (domain.profile.texts > 0) continue;
    for (size_t i = 0; i < domain.gate.size(); i += experts.size())
      domain.profile.add(experts, std::span(domain.gate).subspan(i, experts.size()), "");
  }
  return figures;
}

std::vector<std::string> signs(const Figures& run) {
  const Figures figures = profiled(run);
  std::vector<std::string> found;
  for (const Finding& finding : diagnose(figures)) {
    found.push_back(finding.sign + " " + finding.subject);
    EXPECT_FALSE(finding.says.empty());
    EXPECT_FALSE(finding.remedy.empty());
  }
  return found;
}

// All weight on one expert, whatever the text.
void send_all_to(size_t expert, Figures& figures) {
  for (DomainFigures& domain : figures.domains)
    for (size_t i = 0; i < domain.gate.size(); ++i)
      domain.gate[i] = i % 2 == expert ? 0.999 : 0.001;
}

TEST(Diagnosis, FindsNothingInAHealthyRun) {
  EXPECT_THAT(signs(healthy()), IsEmpty());
  EXPECT_THAT(signs(healthy(0.6)), IsEmpty()) << "a soft gate is no collapse";
}

// Shares 0.999 and 0.001: e^H is 1.0079, of 2; the second space has a load of 0.002.
TEST(Diagnosis, Collapse) {
  Figures figures = healthy();
  send_all_to(0, figures);
  EXPECT_THAT(signs(figures), ElementsAre("collapse ", "dead-space topic/1", "idle-expert know"));
  EXPECT_NEAR(diagnose(figures)[0].figure, 0.0079, 1e-4);
}

// A second expert of topic/1 that gets `share` of each text.
Figures with_twin(double share) {
  Figures figures = healthy();
  figures.gate.experts.push_back("twin");
  figures.gate.space_of_expert.push_back(1);
  figures.gate.held_out_accuracy.push_back(std::nan(""));
  figures.gate.held_out_texts.push_back(0);
  for (DomainFigures& domain : figures.domains) {
    std::vector<double> wider;
    for (size_t i = 0; i < domain.gate.size(); i += 2)
      wider.insert(wider.end(), {domain.gate[i], domain.gate[i + 1] - share, share});
    domain.gate = wider;
  }
  return figures;
}

TEST(Diagnosis, AnExpertThatTheGateDoesNotUse) {
  EXPECT_THAT(signs(with_twin(0.001)), ElementsAre("idle-expert twin"));
}

TEST(Diagnosis, AnExpertThatOnlyTopKLeavesOutIsNotIdle) {
  Figures figures = with_twin(0);
  const Figures before = profiled(with_twin(0.05));
  for (size_t d = 0; d < 2; ++d) figures.domains[d].profile = before.domains[d].profile;
  EXPECT_THAT(signs(figures), IsEmpty());
  EXPECT_THAT(signs(with_twin(0)), ElementsAre("idle-expert twin"));
}

// One label for all is right on half of them; 70 % are 20 points more, with an error of some 7.
TEST(Diagnosis, AnExpertThatKnowsLittleMoreThanTheUsualLabel) {
  Figures figures = healthy();
  figures.domains[1].own = {answers(1, 2, 0.35, 0.35)};
  EXPECT_THAT(signs(figures), ElementsAre("underfitted-expert know"));
  figures.domains[1].own = {answers(1, 2, 0.7, 0.7)};
  EXPECT_THAT(signs(figures), IsEmpty());
}

TEST(Diagnosis, AnExpertThatIsTooSureOrNotSureEnough) {
  Figures figures = healthy();
  figures.domains[1].own = {answers(1, 2, 0.8, 0.99)};
  EXPECT_THAT(signs(figures), ElementsAre("overconfident-expert know"));
  EXPECT_NEAR(diagnose(figures)[0].figure, 0.19, 1e-9);
  figures.domains[1].own = {answers(1, 2, 0.8, 0.55)};
  EXPECT_THAT(signs(figures), ElementsAre("underconfident-expert know"));
  // 14 points, and the error of 200 texts is 5.5: 8.5 are certain.
  figures.domains[1].own = {answers(1, 2, 0.8, 0.94)};
  EXPECT_THAT(signs(figures), IsEmpty());
}

TEST(Diagnosis, AHoldOutThatLeaks) {
  Figures figures = healthy();
  figures.gate.held_out_accuracy = {0.81, 0.99};
  EXPECT_THAT(signs(figures), ElementsAre("leaky-hold-out know"));
  figures.gate.held_out_texts = {200, 4};  // so few prove nothing
  EXPECT_THAT(signs(figures), IsEmpty());
}

TEST(Diagnosis, GradientsInPaddedColumns) {
  Figures figures = healthy();
  figures.gate.padding = {
      {"fusion", "paper"}, {"classes", {2, 10}}, {"padded_share", 0.4}, {"foreign_share", 0.05}};
  EXPECT_THAT(signs(figures), ElementsAre("padded-gradients paper"));
  EXPECT_EQ(diagnose(figures)[0].figure, 0.4);
  figures.gate.padding["fusion"] = "masked";
  figures.gate.padding["padded_share"] = 0.0;
  EXPECT_EQ(diagnose(figures)[0].figure, 0.05);
}

TEST(Diagnosis, RoutingThatIsNotSteady) {
  Figures figures = healthy();
  figures.gate.probes = RoutingProbes{64, 1e-6, 0, 128, 0.05};
  EXPECT_THAT(signs(figures), IsEmpty());
  figures.gate.probes->batch_change = 0.01;
  EXPECT_THAT(signs(figures), ElementsAre("batch-dependent-routing "));
  figures.gate.probes = RoutingProbes{64, 0, 0, 128, 0.25};
  EXPECT_THAT(signs(figures), ElementsAre("unstable-routing "));
  figures.gate.probes->edits = 8;  // two of eight prove nothing
  EXPECT_THAT(signs(figures), IsEmpty());
}

TEST(Diagnosis, FewTextsShowNothing) {
  Figures figures = healthy();
  send_all_to(0, figures);
  for (DomainFigures& domain : figures.domains) {
    domain.truth.resize(10);
    domain.gate.resize(20);
    domain.own = {answers(domain.space, 2 * domain.space, 0.1, 0.99)};
    domain.own[0].truth.resize(10);
    domain.own[0].answer.resize(10);
    domain.own[0].confidence.resize(10);
  }
  EXPECT_THAT(signs(figures), IsEmpty());
}

// All weight goes to the second expert, where it was even at the fit. PSI is far above 0.25.
TEST(Diagnosis, TextsOfAnotherKindThanTheGateWasFittedOn) {
  const auto profile = [](double first) {
    Profile made;
    for (int i = 0; i < kTexts; ++i)
      made.add(std::vector<std::string>{"feel", "know"}, std::vector{first, 1 - first}, "");
    return made;
  };
  Figures figures = healthy();
  figures.drift = find_drift(profile(0.5), profile(0.5));
  EXPECT_THAT(signs(figures), IsEmpty());
  figures.drift = find_drift(profile(0.5), profile(0.01));
  EXPECT_THAT(signs(figures), ElementsAre("drift load", "drift entropy"));
  EXPECT_NEAR(diagnose(figures)[0].figure, figures.drift->load.psi, 1e-12);
  figures.drift->texts = kLeastTexts - 1;
  EXPECT_THAT(signs(figures), IsEmpty()) << "too few";
}

}  // namespace
}  // namespace moecollab::evaluation
