// A check of the conformance suite: one promise of the ABI, judged in a process of its own.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace moecollab::conformance {

class Subject;

// What a check says. More than one finding is allowed; none means that it passed.
struct Finding {
  std::string expected, seen;
  std::string cure = {};  // of this finding; "": the check's
};

class Findings {
 public:
  void add(std::string expected, std::string seen, std::string cure = {}) {
    for (const Finding& f : all_) {
      if (f.expected == expected && f.seen == seen) return;
    }
    if (all_.size() < kMost)
      all_.push_back({std::move(expected), std::move(seen), std::move(cure)});
  }
  // The check does not apply to this package ("it has no moecollab.train/1").
  void not_applicable(std::string reason) { reason_ = std::move(reason); }
  // A figure for the reader, such as a time.
  void note(std::string text) { notes_.push_back(std::move(text)); }

  const std::vector<Finding>& all() const { return all_; }
  const std::string& reason() const { return reason_; }
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  static constexpr size_t kMost = 8;
  std::vector<Finding> all_;
  std::string reason_;
  std::vector<std::string> notes_;
};

struct Check {
  const char* id;
  int level;            // 1 load, 2 contract, 3 numerics, 4 training, 5 stress
  const char* promise;  // what holds for a good expert
  const char* cure;     // how authors usually fix it
  void (*run)(Subject& subject, Findings& findings);
  bool exits = false;  // its process ends by exit(), which must succeed too
};

std::span<const Check> load_checks();
std::span<const Check> contract_checks();
std::span<const Check> creation_checks();
std::span<const Check> conduct_checks();
std::span<const Check> numeric_checks();
std::span<const Check> purity_checks();
std::span<const Check> extension_checks();
std::span<const Check> gradient_checks();
std::span<const Check> training_checks();
std::span<const Check> parameter_checks();
std::span<const Check> learning_checks();
std::span<const Check> thread_checks();
std::span<const Check> stress_checks();

// Every check, by level.
std::vector<Check> all_checks();

}  // namespace moecollab::conformance
