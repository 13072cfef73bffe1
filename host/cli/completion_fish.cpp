#include <fmt/format.h>

#include <vector>

#include "base/strings.h"
#include "cli/documents.h"

namespace moecollab::cli {
namespace {

constexpr const char* kFishBegin =
    R"(# Completion of moecollab for fish, made from the program's own definition.

# Whether the line begins with exactly these verbs; with --end, nothing follows them yet.
function __moecollab_at
    set -l words (commandline -opc)
    set -e words[1]
    if test "$argv[1]" = --end
        set -e argv[1]
        test (count $words) -eq (count $argv); or return 1
    end
    set -l verbs (count $argv)
    test $verbs -eq 0; and return 0
    test (count $words) -ge $verbs; or return 1
    test "$words[1..$verbs]" = "$argv"
end

complete -c moecollab -f
)";

std::string fish_quoted(const std::string& text) {
  return "'" + replace_all(replace_all(text, "\\", "\\\\"), "'", "\\'") + "'";
}

// The verbs of the command: "experts add".
std::string verbs_of(const Command& command) {
  const size_t space = command.name.find(' ');
  return space == std::string::npos ? "" : command.name.substr(space);
}

bool takes_file(const Argument& argument) {
  return argument.takes("FILE") || argument.takes("PATH") || argument.takes("DOMAIN=FILE");
}

// The options of `complete` that propose what may stand for the argument's value.
std::string fish_proposal(const Argument& argument) {
  if (argument.takes("FOLDER")) return " -a '(__fish_complete_directories)'";
  const std::vector<std::string> words = argument.words();
  return std::string(takes_file(argument) ? " -F" : "") +
         (words.empty() ? "" : " -a " + fish_quoted(join(words, " ")));
}

std::string fish_lines(const Command& command) {
  const std::string verbs = verbs_of(command);
  const std::string here = fmt::format("complete -c moecollab -n '__moecollab_at{}'", verbs);
  const std::string end = fmt::format("complete -c moecollab -n '__moecollab_at --end{}'", verbs);
  std::string text = fmt::format("\n# {}\n", command.name);
  for (const Command& verb : command.commands)
    text += fmt::format("{} -a {} -d {}\n", end, verb.verb(), fish_quoted(verb.summary));
  for (const Argument& operand : command.operands) {
    const std::string wanted = fish_proposal(operand);
    if (!wanted.empty())
      text += fmt::format("{}{} -d {}\n", here, wanted, fish_quoted(operand.meaning));
  }
  for (const Argument& flag : command.flags) {
    // -x: a value, and no other file than those that are proposed.
    const char* needs_value = takes_file(flag) ? " -r" : " -x";
    const std::string value = flag.value.empty() ? "" : needs_value + fish_proposal(flag);
    const std::string short_name =
        flag.short_name.empty() ? "" : fmt::format(" -s {}", flag.short_name.substr(1));
    // What has verbs takes its flags before them.
    text += fmt::format("{}{} -l {}{} -d {}\n", command.commands.empty() ? here : end, short_name,
                        flag.name.substr(2), value, fish_quoted(flag.meaning));
  }
  return text;
}

}  // namespace

std::string fish_completion(const Command& program) {
  std::string text = kFishBegin;
  for (const Command* command : flatten(program)) text += fish_lines(*command);
  text += "\n# moecollab help VERB\n";
  for (const Command& verb : program.commands) {
    text += fmt::format("complete -c moecollab -n '__moecollab_at --end help' -a {} -d {}\n",
                        verb.verb(), fish_quoted(verb.summary));
    for (const Command& below : verb.commands)
      text += fmt::format("complete -c moecollab -n '__moecollab_at --end help {}' -a {} -d {}\n",
                          verb.verb(), below.verb(), fish_quoted(below.summary));
  }
  return text;
}

}  // namespace moecollab::cli
