#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/strings.h"
#include "cli/documents.h"

namespace moecollab::cli {
namespace {

constexpr const char* kPageBegin = R"(# Commands

This page is made from the program's own definitions. `moecollab help VERB` prints the same for one verb.
`make install` installs a manual page per verb (`man moecollab-eval`) and completion for three shells:

| shell | file below `PREFIX` | found |
|---|---|---|
| bash | `share/bash-completion/completions/moecollab` | by the package bash-completion if `PREFIX/share` is in `XDG_DATA_DIRS` |
| zsh | `share/zsh/site-functions/_moecollab` | by `compinit` if its folder is in `$fpath` |
| fish | `share/fish/vendor_completions.d/moecollab.fish` | if `PREFIX/share` is in `XDG_DATA_DIRS` |

`/usr/local` and `/usr` need no setting. With another prefix, `source` the file in the shell's start-up file
(zsh: after `compinit`); `man -M PREFIX/share/man moecollab` shows the manual pages.
`build/share` of a build holds the same files.

Two variables stand for flags that most runs need. `make demo` makes the registry that the examples name:

```
export PATH=$PWD/build/bin:$PATH
export MOECOLLAB_REGISTRY=$PWD/build/demo/registry                      # --registry
export MOECOLLAB_ENCODER=$PWD/.deps/encoder/all-MiniLM-L6-v2            # --encoder, for a new registry
```

Without the first, the registry is the folder `registry` where you are: in a checkout, the sample without experts.
A registry names its encoder, and a flag wins over its variable.
)";

constexpr const char* kConventions = R"(
Every verb has `--help`; `moecollab --version` prints the version.
Standard output carries data, standard error messages and progress.
A value that may be one of some words shows them with bars: `train|dev|test`.
`...` after a value: the flag takes several values, or may be repeated.
)";

constexpr const char* kHead = "| flag | value | default | meaning |\n|---|---|---|---|\n";

// In a cell, where a bar would end it.
std::string cell(const std::string& text) { return replace_all(text, "|", "\\|"); }

std::string code(const std::string& text) {
  return text.empty() ? "" : fmt::format("`{}`", cell(text));
}

// "<domain>" would be taken for HTML.
std::string prose(const std::string& text) { return cell(replace_all(text, "<", "&lt;")); }

std::string row(const Argument& argument) {
  const std::string short_name = argument.short_name.empty() ? "" : code(argument.short_name) + " ";
  const std::string value = argument.value + (argument.repeated ? " ..." : "");
  const std::string variable =
      argument.variable.empty() ? "" : fmt::format(" (or {})", code(argument.variable));
  return fmt::format("| {}{} | {} | {} | {}{} |\n", short_name, code(argument.name), code(value),
                     argument.required ? "required" : code(argument.preset),
                     prose(argument.meaning), variable);
}

bool is_shared(const Argument& flag) {
  return flag.group == kDataGroup || flag.group == kCommonGroup || flag.name == "--help";
}

// "Also: `--a`, `--b`." of the flags in the group, linked to where they are described.
std::string reference(const Command& command, const char* group, const char* link) {
  std::vector<std::string> names;
  for (const Argument& flag : command.flags)
    if (flag.group == group) names.push_back(code(flag.name));
  return names.empty() ? "" : fmt::format("{}: {}.\n", link, join(names, ", "));
}

// The verbs of a command, linked to their sections.
std::string verb_table(const Command& command) {
  std::string text = "| verb | |\n|---|---|\n";
  for (const Command& verb : command.commands) {
    std::string link = verb.name.substr(verb.name.find(' ') + 1);
    link = replace_all(link, " ", "-");
    text += fmt::format("| [`{}`](#{}) | {} |\n", verb.verb(), link, prose(verb.summary));
  }
  return text;
}

std::string section(const Command& command) {
  std::string text = fmt::format("\n### {}\n{}.\n\n```\n{}\n```\n",
                                 command.name.substr(command.name.find(' ') + 1),
                                 replace_all(command.summary, "<", "&lt;"), command.usage());
  std::string rows;
  for (const Argument& operand : command.operands) rows += row(operand);
  for (const Argument& flag : command.flags)
    if (!is_shared(flag)) rows += row(flag);
  if (!rows.empty()) text += "\n" + std::string(kHead) + rows;
  if (!command.commands.empty()) text += "\n" + verb_table(command);
  const std::string references =
      reference(command, kDataGroup, "Flags of [data](#data)") +
      reference(command, kCommonGroup, "Flags of [every run](#every-run)");
  if (!references.empty()) text += "\n" + replace_all(references, ".\nF", ".  \nF");
  text += "\nExample:\n```\n" + join(command.examples, "\n") + "\n```\n";
  return text;
}

// The flags of a group, each once.
std::string group_table(const Command& program, const char* group) {
  std::vector<Argument> seen;
  std::string text = kHead;
  for (const Command* command : flatten(program)) {
    for (const Argument& flag : command->flags) {
      if (flag.group != group || std::find(seen.begin(), seen.end(), flag) != seen.end()) continue;
      seen.push_back(flag);
      text += row(flag);
    }
  }
  return text;
}

std::string statuses() {
  std::string text = "\n## Exit status\n| status | meaning |\n|---|---|\n";
  for (const auto& [status, meaning] : exit_statuses())
    text += fmt::format("| {} | {} |\n", status, meaning);
  text +=
      "\nEvery refusal has a code, which begins with one of these:\n\n"
      "| code | status | about |\n|---|---|---|\n";
  for (const auto& [prefix, status, meaning] : error_families())
    text += fmt::format("| `{}` | {} | {} |\n", prefix, status, meaning);
  return text;
}

}  // namespace

std::string commands_page(const Command& program) {
  std::string text = std::string(kPageBegin) + "\n" + verb_table(program);
  text += kConventions + std::string("\n## Verbs\n");
  for (const Command* command : flatten(program))
    if (command != &program) text += section(*command);
  return text + "\n## Data\nFlags of the verbs that read labelled data, or texts.\n\n" +
         group_table(program, kDataGroup) +
         "\n## Every run\nFlags that mean the same in every verb that takes them.\n\n" +
         group_table(program, kCommonGroup) + statuses();
}

std::map<std::string, std::string> documents(const Command& program) {
  std::map<std::string, std::string> files = {
      {"bash-completion/completions/moecollab", bash_completion(program)},
      {"zsh/site-functions/_moecollab", zsh_completion(program)},
      {"fish/vendor_completions.d/moecollab.fish", fish_completion(program)},
      {"doc/moecollab/commands.md", commands_page(program)}};
  for (const Command* command : flatten(program))
    files[fmt::format("man/man1/{}.1", page_name(*command))] = manual_page(*command, program);
  return files;
}

}  // namespace moecollab::cli
