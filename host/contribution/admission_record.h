// The verdict on a candidate, as registry/admission/ keeps it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "contribution/admission.h"

namespace moecollab::contribution {

// What the candidate changes on the texts of all domains, and on those of each.
struct DomainChanges {
  PairedChange whole;
  std::vector<std::pair<std::string, PairedChange>> domains;
};

// The candidate alone on its own domain, which is known to it.
struct OwnDomain {
  int64_t n = 0;  // texts
  double accuracy = 0;
  double majority = 0;  // share of the most frequent label
};

// Under equal shares.
struct ExpertContribution {
  std::string name;
  bool candidate = false;
  double leave_one_out = 0, shapley = 0;  // accuracy
};

// What follows from the answers to the texts under equal shares.
struct Judgement {
  Verdict verdict = Verdict::kUndecided;
  std::vector<std::string> reasons;
  int64_t texts_needed = 0;  // to decide; 0: decided, or no number would
  DomainChanges forced;
  OwnDomain own;
  std::vector<ExpertContribution> contributions;  // the candidate's is the last
};

// The same pool as the fitted gate routes it, with a row for the candidate.
struct FittedGateChange {
  DomainChanges changes;
  int64_t texts = 0;  // of its domain that the row was fitted on
};

struct AdmissionRecord {
  struct Candidate {
    std::string name, id, version, sha256, domain, label_space;
  };
  struct JudgedFile {
    std::string domain, sha256;
    size_t texts = 0;  // judged on
  };

  Candidate candidate;
  std::optional<Candidate> replaces;  // the installed version that would leave for it
  Judgement judgement;
  std::optional<FittedGateChange> fitted_gate;  // none: not judged, and a note says why
  std::string split;
  std::vector<std::string> notes;
  // What it was judged on and against, so that the verdict can be checked again.
  std::vector<JudgedFile> data;
  std::vector<std::pair<std::string, std::string>> pool;  // name and package SHA-256
  std::optional<std::string> encoder;                     // fingerprint; none: there is no encoder
  uint64_t seed = 0;
  int permutations = 0;
  std::string basis;    // SHA-256 of all that the verdict rests on, what is above included
  std::string command;  // as typed
};
Json to_json(const AdmissionRecord& record);
Json to_json(const PairedChange& change);

}  // namespace moecollab::contribution
