// The files that are made from the command line's definition: completions, manual pages and
// docs/commands.md.
#pragma once

#include <map>
#include <string>

#include "cli/command.h"

namespace moecollab::cli {

// Completion of verbs, flags, words of a flag, files and folders. The script needs bash 4 and no
// package; the others need what their shell comes with.
std::string bash_completion(const Command& program);
std::string zsh_completion(const Command& program);
std::string fish_completion(const Command& program);

// "moecollab-experts-add", the manual page's name without its section.
std::string page_name(const Command& command);
// The page in man(7)'s language. `program` is what the command belongs to.
std::string manual_page(const Command& command, const Command& program);

// docs/commands.md.
std::string commands_page(const Command& program);

// All of them by path below an installation's share/.
std::map<std::string, std::string> documents(const Command& program);

}  // namespace moecollab::cli
