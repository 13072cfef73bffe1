// The judgement of a candidate on answered texts.
#pragma once

#include <optional>

#include "contribution/admission_options.h"
#include "contribution/admission_record.h"
#include "contribution/candidate_trial.h"
#include "training/growth.h"

namespace moecollab::contribution {

// Throws E_CONFIG for options out of range.
void check(const AdmissionOptions& options);

// Under equal shares: the verdict, what it rests on, and each expert's contribution by sampling
// `permutations` orders. Equal shares are equal only among experts that are as sure of themselves
// as they are right, so every one answers at the temperature that fits `fit`, if there is one.
// Texts as answered by the trial's experts, some of the candidate's domain.
Judgement judge(const Trial& trial, const training::AnsweredTexts& judged,
                const std::optional<training::AnsweredTexts>& fit, int permutations, uint64_t seed);

// Under the fitted gate, which must be one that can grow. The candidate's row is fitted as `grow`
// would, but on texts of `fit` alone, at most `texts` of them its own and at least one, and with
// every old domain of the same weight; then it is judged on `judged`.
FittedGateChange judge_under_gate(const Trial& trial, const training::AnsweredTexts& judged,
                                  const training::AnsweredTexts& fit, int64_t texts,
                                  const training::ShareFit& shares);

// The row of the fitted gate of this one of trial.experts; none: it has none.
std::optional<size_t> row_of(const Trial& trial, size_t expert);

// Under the fitted gate as it is: at its own row the candidate against the gate without it, at the
// row of the one that it replaces against that one.
FittedGateChange judge_at_row(const Trial& trial, const training::AnsweredTexts& judged,
                              size_t row);

}  // namespace moecollab::contribution
