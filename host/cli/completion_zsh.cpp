#include <fmt/format.h>

#include <vector>

#include "base/strings.h"
#include "cli/documents.h"

namespace moecollab::cli {
namespace {

std::string function_name(const Command& command) {
  return "_" + replace_all(replace_all(command.name, " ", "__"), "-", "_");
}

// Within single quotes, where the text is part of a specification.
std::string quoted_part(std::string text) {
  for (const char* special : {"\\", ":", "[", "]"})
    text = replace_all(text, special, std::string("\\") + special);
  return replace_all(text, "'", "'\\''");
}

// ":MESSAGE:ACTION" of a value.
std::string zsh_proposal(const Argument& argument) {
  const std::string message = ":" + quoted_part(argument.value);
  const std::vector<std::string> words = argument.words();
  const std::string choices = join(words, " ");
  if (argument.takes("DOMAIN=FILE")) return message + ":{ compset -P \"*=\"; _files }";
  if (argument.takes("FOLDER")) return message + ":_files -/";
  if (argument.takes("FILE") || argument.takes("PATH")) {
    if (words.empty()) return message + ":_files";
    return message + fmt::format(":{{ compadd -- {}; _files }}", choices);
  }
  return words.empty() ? message + ": " : message + fmt::format(":({})", choices);
}

std::string specification(const Argument& flag) {
  const std::string meaning = fmt::format("[{}]", quoted_part(flag.meaning));
  if (flag.is_final()) {
    std::string text = fmt::format(" '(- *){}{}'", flag.name, meaning);
    if (!flag.short_name.empty()) text += fmt::format(" '(- *){}{}'", flag.short_name, meaning);
    return text;
  }
  if (flag.value.empty()) return fmt::format(" '{}{}'", flag.name, meaning);
  return fmt::format(" '{}{}={}{}'", flag.repeated ? "*" : "", flag.name, meaning,
                     zsh_proposal(flag));
}

// A verb, then its own verb.
constexpr const char* kZshVerbs =
    " '1:verb:_moecollab_verbs' \\\n    '2:verb:{ local list=_moecollab__${words[2]}_verbs; "
    "(( $+functions[$list] )) && $list }'";

std::string specification_of_operand(const Argument& operand) {
  if (operand.takes("VERB")) return kZshVerbs;
  const char* place = operand.repeated ? "*" : operand.required ? "1" : "1:";
  return fmt::format(" '{}{}'", place, zsh_proposal(operand));
}

std::string names_and_summaries(const Command& command) {
  std::string text;
  for (const Command& verb : command.commands)
    text += fmt::format("    '{}:{}'\n", verb.verb(), quoted_part(verb.summary));
  return text;
}

std::string zsh_leaf(const Command& command) {
  std::string text = function_name(command) + "() {\n  _arguments";
  for (const Argument& flag : command.flags) text += " \\\n   " + specification(flag);
  for (const Argument& operand : command.operands)
    text += " \\\n   " + specification_of_operand(operand);
  return text + "\n}\n\n";
}

// A command that has verbs: their names first, then what they take.
std::string zsh_branch(const Command& command) {
  const std::string name = function_name(command);
  std::string text = fmt::format(
      "{0}_verbs() {{\n  local -a verbs=(\n{1}  )\n  _describe -t verbs verb verbs\n}}\n\n"
      "{0}() {{\n  local curcontext=\"$curcontext\" state line\n  typeset -A opt_args\n"
      "  _arguments -C",
      name, names_and_summaries(command));
  for (const Argument& flag : command.flags) text += " \\\n   " + specification(flag);
  text += fmt::format(
      " \\\n    '1:verb:{}_verbs' \\\n    '*:: :->words' && return\n  case $words[1] in\n", name);
  for (const Command& verb : command.commands)
    text += fmt::format("    {}) {} ;;\n", verb.verb(), function_name(verb));
  return text + "  esac\n}\n\n";
}

}  // namespace

std::string zsh_completion(const Command& program) {
  std::string text =
      "#compdef moecollab\n"
      "# Completion of moecollab for zsh, made from the program's own definition.\n\n";
  for (const Command* command : flatten(program))
    text += command->commands.empty() ? zsh_leaf(*command) : zsh_branch(*command);
  return text +
         "# Called when it was found in $fpath; otherwise it was sourced.\n"
         "if [[ $funcstack[1] == _moecollab ]]; then\n  _moecollab \"$@\"\nelse\n"
         "  compdef _moecollab moecollab\nfi\n";
}

}  // namespace moecollab::cli
