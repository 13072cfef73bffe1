// A precision beside the one that a gate was fitted in: the paired comparison, and the bar.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "evaluation/figures.h"
#include "registry/precision_record.h"

namespace moecollab::evaluation {

// The most accuracy over all texts that a precision may cost.
inline constexpr double kAccuracyLoss = 0.005;

// One domain's texts, in both precisions: labels and answers as metrics.h has them, n >= 1.
struct PrecisionAnswers {
  std::string domain, data;  // its name, the SHA-256 of its file
  std::vector<int> truth, against, answers;
};

// Answers over the union, or over the domain's own space for a fusion without such answers. Both
// hold the same domains in the same order.
std::vector<PrecisionAnswers> paired_answers(const std::vector<DomainFigures>& against,
                                             const std::vector<DomainFigures>& figures);

// Fills domains, overall and reasons: it passes if the accuracy over all texts falls by at most
// kAccuracyLoss, no domain is significantly worse (McNemar, two-sided 95 %), and each label space
// that an expert of the gate answers in has texts. `untested`: the names of those without.
void compare_precisions(std::span<const PrecisionAnswers> domains,
                        std::span<const std::string> untested, registry::PrecisionRecord& record);

// The names of the label spaces of the gate's experts in which no text was evaluated.
std::vector<std::string> untested_spaces(const Figures& figures);

// The record as a table and a line, for a terminal; `record` as registry::to_json() gives it.
std::string precision_text(const Json& record);

}  // namespace moecollab::evaluation
