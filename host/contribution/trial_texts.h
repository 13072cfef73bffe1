// The texts that a candidate is judged on.
#pragma once

#include <optional>
#include <vector>

#include "contribution/candidate_trial.h"
#include "data/dataset.h"
#include "training/text_collection.h"

namespace moecollab::contribution {

struct TrialFiles {
  std::vector<data::Dataset> judged;
  bool training = false;  // they are training files: only their held-out texts are judged on
  // Training files beside those; none: there is no folder that would hold them.
  std::optional<std::vector<data::Dataset>> fitting;
};

// "train (held out)", or the split that was asked for.
std::string split_name(const TrialFiles& files, const std::string& split);

// The texts of the files to judge on: of training files the held-out ones in the seed's order, of
// others all. Files of domains that no expert knows are noted and left out. Throws E_DATA unless
// some of the texts are of the candidate's domain and label space. Refers to `files`.
std::vector<training::ChosenTexts> choose_judged(const pipeline::Pool& pool, const Trial& trial,
                                                 const TrialFiles& files, uint64_t seed);

struct TrialTexts {
  training::AnsweredTexts judged;
  // Held-out training texts, which temperatures and the candidate's row are fitted on; none: there
  // are none. Of training files these are the judged ones.
  std::optional<training::AnsweredTexts> fit;
};

// Asks the trial's experts. `notes` hears what weakens the judgement.
TrialTexts collect_trial_texts(pipeline::Pool& pool, const Trial& trial, const TrialFiles& files,
                               const std::vector<training::ChosenTexts>& judged, uint64_t seed,
                               Log notes);

}  // namespace moecollab::contribution
