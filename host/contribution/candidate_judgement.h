// From a candidate and data to the verdict's record.
#pragma once

#include <string>

#include "contribution/admission_options.h"
#include "contribution/admission_record.h"
#include "contribution/trial_texts.h"

namespace moecollab::contribution {

struct JudgeOptions {
  AdmissionOptions admission;
  uint64_t seed = 1;           // of the sampling and of the order of texts
  std::string split;           // what the record says of the texts
  std::string command;         // as typed
  bool known_will_do = false;  // a verdict that is there, and rests on the same, is taken over
  bool kept = true;            // false: nothing is written
};

// A verdict as it lies in the registry's admission/, with its "file"; null: it was not kept.
struct KeptVerdict {
  Json verdict;
  bool known = false;  // it was there
};

// Judges the trial's candidate on `files` and writes the verdict. Its notes are what `notes` has
// collected. Throws as choose_judged(), E_DATA_CHANGED if a file was changed meanwhile, and
// E_WRITE before anything is computed.
KeptVerdict judge_and_keep(pipeline::Pool& pool, const Trial& trial, const TrialFiles& files,
                           const JudgeOptions& options, CollectingLog& notes);

}  // namespace moecollab::contribution
