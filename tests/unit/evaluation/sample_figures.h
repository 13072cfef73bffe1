// Figures of six texts of two domains, small enough to work the report out by hand.
#pragma once

#include "evaluation/figures.h"

namespace moecollab::evaluation {

// Labels: sad 0, glad 1 of mood/1; art 2, law 3, sea 4 of topic/1. Experts: `feel` answers in
// mood/1, `know` in topic/1.
inline Figures sample_figures() {
  Figures figures;
  figures.labels.add({"mood/1", {"sad", "glad"}}, false);
  figures.labels.add({"topic/1", {"art", "law", "sea"}}, false);
  DomainFigures moods;
  moods.domain = "moods";
  moods.sha256 = "aa";
  moods.train_overlap = 1;
  moods.truncated = 2;
  moods.space = 0;
  moods.truth = {0, 1, 1, 0};
  moods.answer = {0, 1, 0, 3};
  moods.answer_aware = {0, 1, 0, 0};
  moods.confidence = {0.9, 0.8, 0.6, 0.5};
  moods.gate = {0.9, 0.1, 0.8, 0.2, 0.7, 0.3, 0.4, 0.6};
  moods.entropy_without = {{0.9, 0.5, 0.4, 0.3}, {0.1, 0.2, 0.3, 0.4}};
  moods.best_expert = "feel";
  moods.expert_answer = {0, 1, 1, 0};
  moods.baseline = {1, 1, 1, 1};
  moods.majority = {0, 0, 0, 0};
  moods.uniform_gate = {0, 1, 4, 4};
  moods.equal_shares = {0, 1, 0, 1};
  DomainFigures topics;
  topics.domain = "topics";
  topics.sha256 = "bb";
  topics.truncated = 1;
  topics.space = 1;
  topics.truth = {2, 4};
  topics.answer = {2, 4};
  topics.answer_aware = {2, 4};
  topics.confidence = {0.7, 0.95};
  topics.gate = {0.1, 0.9, 0.2, 0.8};
  topics.entropy_without = {{0.4, 0.1}, {0.35, 0.15}};
  topics.best_expert = "know";
  topics.expert_answer = {2, 2};
  topics.baseline = {3, 3};
  topics.majority = {2, 2};
  topics.uniform_gate = {2, 3};
  figures.domains = {moods, topics};
  figures.gate = {"mixture", "masked", 2, 0.5, 0.25, {"feel", "know"}, {0, 1}};
  figures.compute = {60, 600, 60, 120, 5, 2, 4, 2, 3, 1024};
  figures.compute.cascade = {6, 6, 6, 600, 600, 36, 6};
  ExpertFigures feel, lost;
  feel.name = "feel";
  feel.state = "ready";
  feel.isolation = "in-process";
  feel.version = "1.2.3";
  feel.sha256 = "cc";
  feel.calls = 6;
  feel.cached = 4;
  lost.name = "lost";
  lost.state = "refused";
  lost.isolation = "in-process";
  lost.code = "E_REG_MISSING";
  figures.experts = {feel, lost};
  figures.notes = {"multi_task_head is null: there is none"};
  figures.provenance = {"0.3.0", "2.15.0", "cpu", "fp32", 2, 1, "dd", std::nullopt, "eval"};
  return figures;
}

}  // namespace moecollab::evaluation
