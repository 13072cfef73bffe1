// The host's one exception type.
#pragma once

#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace moecollab {

// What went wrong, for a person and for a script.
//
// `code` is stable (E_REG_IO, E_DATA, …) and decides the exit status; `what()` names the thing and
// the two values that disagree; `hint` says what to do next and may be empty.
class Error : public std::runtime_error {
 public:
  Error(std::string code, const std::string& message, std::string hint = {})
      : std::runtime_error(message), code_(std::move(code)), hint_(std::move(hint)) {}

  const std::string& code() const { return code_; }
  const std::string& hint() const { return hint_; }

 private:
  std::string code_;
  std::string hint_;
};

// All codes that begin with `prefix`, the exit status that they stand for, and what they say.
struct ErrorFamily {
  std::string_view prefix;
  int status;
  std::string_view meaning;
};
std::span<const ErrorFamily> error_families();

// The exit status that the code's family stands for; 1 for a code of no known family.
int exit_status(std::string_view code);

// Every exit status of the program and what it means; an interrupted run has 128 + the signal.
struct ExitStatus {
  int status;
  std::string_view meaning;
};
std::span<const ExitStatus> exit_statuses();

}  // namespace moecollab
