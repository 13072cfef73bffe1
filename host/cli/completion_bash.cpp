#include <fmt/format.h>

#include <vector>

#include "base/strings.h"
#include "cli/documents.h"

namespace moecollab::cli {
namespace {

constexpr const char* kBashBegin =
    R"(# Completion of moecollab for bash, made from the program's own definition.

_moecollab() {
  local IFS=$' \t\n' words=() word before="" i
  # Bash makes a word of its own of each "=": here, --flag=value is one again.
  for ((i = 0; i <= COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if ((i > 0)) && [[ $word == "=" || $before == "=" ]]; then
      words[${#words[@]} - 1]+=$word
    else
      words+=("$word")
    fi
    before=$word
  done
  local last=$((${#words[@]} - 1)) first=1 help="" verb=moecollab
  local flag=${words[last - 1]} value=${words[last]} prefix=""
  if [[ $value == --*=* ]]; then
    flag=${value%%=*} value=${value#*=}
    [[ $word == --*=* ]] && prefix=$flag=  # "=" is no word of its own in this shell
  fi
  if ((last > 1)) && [[ ${words[1]} == help ]]; then help=yes first=2; fi
  for ((i = first; i < last; i++)); do
    case "$verb ${words[i]}" in
)";

constexpr const char* kBashEnd = R"(  esac
  if [[ $help ]]; then
    choices=$verbs paths=""
  elif [[ ${words[last]} == -* && ${words[last]} != --*=* ]]; then
    choices=$flags paths=""
  fi
  COMPREPLY=()
  [[ $choices ]] && mapfile -t COMPREPLY < <(compgen -P "$prefix" -W "$choices" -- "$value")
  # Of these, readline completes those that are there if COMPREPLY is empty.
  case $paths in
    files) compopt -o default ;;
    folders) compopt -o dirnames ;;
  esac
}

complete -F _moecollab moecollab
)";

std::string flag_list(const Command& command) {
  std::vector<std::string> names;
  for (const Argument& flag : command.flags) names.push_back(flag.name);
  return join(names, " ");
}

std::string verb_list(const Command& command) {
  std::vector<std::string> names;
  for (const Command& verb : command.commands) names.push_back(verb.verb());
  return join(names, " ");
}

// Assignments that say what may stand for the argument's value.
std::string bash_proposal(const Argument& argument) {
  std::vector<std::string> parts;
  if (const auto words = argument.words(); !words.empty())
    parts.push_back(fmt::format("choices=\"{}\"", join(words, " ")));
  if (argument.takes("FILE") || argument.takes("PATH") || argument.takes("DOMAIN=FILE"))
    parts.push_back("paths=files");
  if (argument.takes("FOLDER")) parts.push_back("paths=folders");
  return parts.empty() ? ":" : join(parts, " ");
}

// What may stand where no flag waits for its value.
std::string bash_proposal_of_operands(const Command& command) {
  if (!command.commands.empty()) return "choices=$verbs";
  if (command.operands.empty()) return "choices=$flags";
  return bash_proposal(command.operands.front());
}

std::string bash_branch(const Command& command) {
  std::string text =
      fmt::format("    \"{}\")\n      flags=\"{}\"\n", command.name, flag_list(command));
  if (!command.commands.empty()) text += fmt::format("      verbs=\"{}\"\n", verb_list(command));
  // Flags that propose the same share a line.
  std::vector<std::pair<std::string, std::vector<std::string>>> by_proposal;
  for (const Argument& flag : command.flags) {
    if (flag.value.empty()) continue;
    const std::string wanted = bash_proposal(flag);
    auto found = by_proposal.begin();
    while (found != by_proposal.end() && found->first != wanted) ++found;
    if (found == by_proposal.end()) found = by_proposal.insert(found, {wanted, {}});
    found->second.push_back(flag.name);
  }
  text += "      case $flag in\n";
  for (const auto& [wanted, flags] : by_proposal)
    text += fmt::format("        {}) {} ;;\n", join(flags, " | "), wanted);
  return text + fmt::format("        *) {} ;;\n      esac\n      ;;\n",
                            bash_proposal_of_operands(command));
}

}  // namespace

std::string bash_completion(const Command& program) {
  std::vector<std::string> paths;
  std::string branches;
  for (const Command* command : flatten(program)) {
    if (command != &program) paths.push_back(fmt::format("\"{}\"", command->name));
    branches += bash_branch(*command);
  }
  return kBashBegin +
         fmt::format("      {}) verb+=\" ${{words[i]}}\" ;;\n      *) break ;;\n    esac\n  done\n",
                     join(paths, " | ")) +
         "  local flags=\"\" verbs=\"\" choices=\"\" paths=\"\"\n  case $verb in\n" + branches +
         kBashEnd;
}

}  // namespace moecollab::cli
