#include "cli/command.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/strings.h"

namespace moecollab::cli {
namespace {

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find(separator), text.size());
    if (end > 0) parts.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

// FILE, N, DOMAIN=FILE: not to be typed as it stands.
bool is_placeholder(const std::string& alternative) {
  return std::any_of(alternative.begin(), alternative.end(),
                     [](unsigned char c) { return std::isupper(c) != 0; });
}

}  // namespace

std::vector<std::string> Argument::words() const {
  std::vector<std::string> words = split(value, '|');
  std::erase_if(words, is_placeholder);
  return words;
}

bool Argument::takes(std::string_view placeholder) const {
  const std::vector<std::string> alternatives = split(value, '|');
  return std::find(alternatives.begin(), alternatives.end(), placeholder) != alternatives.end();
}

std::string Argument::notes() const {
  std::vector<std::string> notes;
  if (required) notes.push_back("required");
  if (!preset.empty()) notes.push_back("default: " + preset);
  if (!variable.empty()) notes.push_back("environment: " + variable);
  return join(notes, "; ");
}

std::string Argument::meaning_and_notes() const {
  return notes().empty() ? meaning : fmt::format("{} ({})", meaning, notes());
}

std::string Command::usage() const {
  std::string text = name;
  if (!commands.empty()) return text + " VERB [OPTIONS]";
  text += " [OPTIONS]";
  for (const Argument& flag : flags)
    if (flag.required) text += fmt::format(" {} {}", flag.name, flag.value);
  for (const Argument& operand : operands) {
    const std::string word = operand.name + (operand.repeated ? "..." : "");
    text += operand.required ? " " + word : fmt::format(" [{}]", word);
  }
  return text;
}

std::vector<const Command*> flatten(const Command& command) {
  std::vector<const Command*> all = {&command};
  for (const Command& verb : command.commands) {
    const std::vector<const Command*> below = flatten(verb);
    all.insert(all.end(), below.begin(), below.end());
  }
  return all;
}

std::string replace_all(std::string text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

}  // namespace moecollab::cli
