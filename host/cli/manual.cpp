#include <fmt/format.h>

#include <set>
#include <vector>

#include "base/error.h"
#include "base/strings.h"
#include "base/version.h"
#include "cli/documents.h"

namespace moecollab::cli {
namespace {

// Text that stands for itself: "-" can be copied into a shell, and no line begins a request.
std::string plain(std::string text) {
  text = replace_all(text, "\\", "\\e");
  text = replace_all(text, "-", "\\-");
  text = replace_all(text, "'", "\\(aq");
  text = replace_all(text, "`", "\\(ga");
  text = replace_all(text, "^", "\\(ha");
  text = replace_all(text, "~", "\\(ti");
  return text.starts_with(".") ? "\\&" + text : text;
}

std::string bold(const std::string& text) { return fmt::format("\\fB{}\\fR", plain(text)); }
std::string italic(const std::string& text) { return fmt::format("\\fI{}\\fR", plain(text)); }

std::string value_text(const Argument& argument) {
  return argument.value.empty() ? "" : italic(argument.value + (argument.repeated ? " ..." : ""));
}

std::string item(const Argument& argument) {
  const std::string short_name =
      argument.short_name.empty() ? "" : bold(argument.short_name) + ", ";
  const std::string value = value_text(argument);
  return fmt::format(".TP\n{}{}{}{}\n{}.\n", short_name, bold(argument.name),
                     value.empty() ? "" : " ", value, plain(argument.meaning_and_notes()));
}

std::string item(const std::string& head, std::string_view text) {
  return fmt::format(".TP\n{}\n{}.\n", head, plain(std::string(text)));
}

std::string options(const Command& command) {
  std::string text, group;
  for (const Argument& flag : command.flags) {
    if (flag.group != group) {
      group = flag.group;
      text += text.empty() ? ".SH OPTIONS\n" : fmt::format(".SS {}\n", plain(group));
    }
    text += item(flag);
  }
  return text;
}

std::string verbs(const Command& command) {
  std::string text = ".SH VERBS\n";
  for (const Command& verb : command.commands) {
    const std::string page = page_name(verb) + "(1)";
    text +=
        fmt::format(".TP\n{}\n{}.\nSee {}.\n", bold(verb.verb()), plain(verb.summary), bold(page));
  }
  return text;
}

std::string environment(const Command& command) {
  std::string text;
  for (const Argument& flag : command.flags) {
    if (!flag.variable.empty())
      text +=
          item(bold(flag.variable), fmt::format("The value of {} if it is not given", flag.name));
  }
  return text.empty() ? "" : ".SH ENVIRONMENT\n" + text;
}

std::string exit_status_section() {
  std::string text = ".SH EXIT STATUS\n";
  for (const auto& [status, meaning] : exit_statuses())
    text += item(bold(std::to_string(status)), meaning);
  return text;
}

std::string examples(const Command& command) {
  std::string text = ".SH EXAMPLES\n.nf\n";
  for (const std::string& line : command.examples) text += plain(line) + "\n";
  return text + ".fi\n";
}

// The pages of the program, of what the command is a verb of, and of its own verbs.
std::string see_also(const Command& command, const Command& program) {
  std::vector<std::string> pages;
  for (const Command* other : flatten(program)) {
    if (other != &command && command.name.starts_with(other->name + " "))
      pages.push_back(bold(page_name(*other) + "(1)"));
  }
  for (const Command& verb : command.commands) pages.push_back(bold(page_name(verb) + "(1)"));
  return ".SH SEE ALSO\n" + join(pages, ",\n") + "\n";
}

}  // namespace

std::string page_name(const Command& command) { return replace_all(command.name, " ", "-"); }

std::string manual_page(const Command& command, const Command& program) {
  std::string title = page_name(command);
  for (char& c : title) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  std::string summary = command.summary;
  if (summary.ends_with(".")) summary.pop_back();
  std::string text = fmt::format(
      ".TH {} 1 \"\" \"MoECollab {}\" \"MoECollab\"\n.SH NAME\n{} \\- {}\n.SH SYNOPSIS\n{}\n"
      ".SH DESCRIPTION\n{}.\n",
      plain(title), kVersion, plain(page_name(command)), plain(summary), plain(command.usage()),
      plain(summary));
  if (!command.operands.empty()) text += ".SH OPERANDS\n";
  for (const Argument& operand : command.operands) text += item(operand);
  if (!command.commands.empty()) text += verbs(command);
  return text + options(command) + environment(command) + exit_status_section() +
         examples(command) + see_also(command, program);
}

}  // namespace moecollab::cli
