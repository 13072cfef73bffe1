// From a candidate and data to the verdict's record.
#pragma once

#include "contribution/admission_options.h"
#include "contribution/admission_record.h"
#include "contribution/trial_texts.h"

namespace moecollab::contribution {

// Judges the trial's candidate on `chosen`, which are of `files`. The record lacks the split and
// the command, which the caller knows; its notes are what `notes` has collected. Throws
// E_DATA_CHANGED if a file was changed meanwhile.
AdmissionRecord judge_candidate(pipeline::Pool& pool, const Trial& trial, const TrialFiles& files,
                                const std::vector<training::ChosenTexts>& chosen,
                                const AdmissionOptions& options, uint64_t seed,
                                CollectingLog& notes);

// Where the verdict on a package lies. Makes the folder; throws E_WRITE if the file could not be
// written.
fs::path verdict_file(const fs::path& registry, const registry::Package& package);

}  // namespace moecollab::contribution
