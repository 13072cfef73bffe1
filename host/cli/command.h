// The command line as data: what help, shell completions, manual pages and docs/commands.md show.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace moecollab::cli {

// Groups of flags that mean the same in every verb that takes them.
inline constexpr const char* kDataGroup = "Data";
inline constexpr const char* kCommonGroup = "Common options";

// A flag, or an operand (a word that belongs to no flag).
struct Argument {
  std::string name;        // "--fusion"; "package"
  std::string short_name;  // "-h", or empty
  // What stands after a flag, or as operand: "FILE", "N", "train|dev|test", "uniform|data|FILE";
  // empty for a flag that stands alone. Alternatives in lower case are words.
  std::string value;
  std::string meaning;
  std::string preset;    // the value if it is not given, or empty
  std::string variable;  // of the environment, or empty
  std::string group;     // the heading that it has in help
  bool required = false;
  bool repeated = false;

  bool operator==(const Argument&) const = default;
  // Whether it ends the run, so that nothing may follow.
  bool is_final() const { return name == "--help" || name == "--version"; }
  // The words among the value's alternatives: {"uniform", "data"}.
  std::vector<std::string> words() const;
  // Whether one of the alternatives is `placeholder`, as in "FILE".
  bool takes(std::string_view placeholder) const;
  // "required; default: 1; environment: NAME", as far as it applies.
  std::string notes() const;
  std::string meaning_and_notes() const;  // notes in parentheses after the meaning
};

// The program, a verb, or a verb's own verb.
struct Command {
  std::string name;     // as typed: "moecollab experts add"
  std::string summary;  // one sentence; only the program's has its full stop
  std::vector<std::string> examples;
  std::vector<Argument> flags, operands;
  std::vector<Command> commands;

  std::string verb() const { return name.substr(name.rfind(' ') + 1); }
  // "moecollab experts add [OPTIONS] package"
  std::string usage() const;
};

// The program of this build, its verbs in the order of --help.
Command program_command();
// One option of it, and what a verb is typed as ("moecollab experts add").
Argument to_argument(const CLI::Option& option);
std::string full_name(const CLI::App& verb);

// The command and all below it, in order.
std::vector<const Command*> flatten(const Command& command);
// `text` with every `from` replaced.
std::string replace_all(std::string text, std::string_view from, std::string_view to);

}  // namespace moecollab::cli
