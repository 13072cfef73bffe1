#include "registry/registry_edit.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/strings.h"
#include "base/toml.h"
#include "registry/names.h"

namespace moecollab::registry {
namespace {

std::string expert_text(const ExpertEntry& entry) {
  Json table = {{"name", entry.name}, {"id", entry.id}, {"version", entry.version.text()}};
  if (entry.pin) table["pin"] = entry.pin->text();
  if (!entry.enabled) table["enabled"] = false;
  if (entry.required) table["required"] = true;
  if (entry.weight_cap) table["weight_cap"] = *entry.weight_cap;
  if (!entry.config.empty()) table["config"] = entry.config;
  Json root;
  root["expert"] = Json::array({std::move(table)});
  return to_toml(root);
}

std::string with_crlf(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') out += '\r';
    out += c;
  }
  return out;
}

// The text by lines, each with its line end.
std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    lines.push_back(text.substr(at, end - at));
    at = end;
  }
  return lines;
}

std::string_view without_indent(std::string_view line) {
  return line.substr(std::min(line.find_first_not_of(" \t"), line.size()));
}

bool is_blank_or_comment(std::string_view line) {
  const std::string_view rest = without_indent(line);
  return rest.empty() || rest[0] == '#' || rest[0] == '\n' || rest[0] == '\r';
}

// `line` holds a key and a value on one line; a line of another form stays, and the caller finds
// out.
void replace_value(std::string& line, const std::string& value) {
  const size_t equals = line.find('=');
  const size_t begin = line.find_first_not_of(" \t", equals + 1);
  if (equals == std::string::npos || begin == std::string::npos) return;
  const char quote = line[begin];
  const size_t end = quote == '"' || quote == '\''
                         ? line.find(quote, begin + 1) + 1
                         : std::min(line.find_first_of(" \t\r\n#", begin), line.size());
  if (end > begin) line.replace(begin, end - begin, value);
}

// Where an [[expert]] stands in a text; line numbers from 0.
class ExpertText {
 public:
  ExpertText(const std::string& text, const std::string& name, const std::string& file)
      : file_(file), lines_(lines_of(text)) {
    document_ = parse_toml(text, file, "E_REG", kMaxRegistry);
    before_ = parse_registry(text, file);
    while (index_ < before_.experts.size() && before_.experts[index_].name != name) ++index_;
    if (index_ == before_.experts.size())
      throw std::logic_error("ExpertText: no expert of that name");
  }

  std::string with_key(const std::string& key, const std::optional<std::string>& value) {
    const auto there = document_.lines.find(path() + "." + key);
    if (there != document_.lines.end()) {
      const auto at = static_cast<size_t>(there->second - 1);
      if (value)
        replace_value(lines_[at], *value);
      else if (const size_t comment = lines_[at].find('#'); comment != std::string::npos)
        lines_[at].erase(0, comment);  // an operator's words stay
      else
        lines_.erase(lines_.begin() + static_cast<ptrdiff_t>(at));
    } else if (value) {
      add_line(key, *value);
    }
    return joined();
  }

  std::string without_table() {
    const size_t first = line_of(path());
    size_t end = next_line(first);
    while (end > first + 1 && is_blank_or_comment(lines_[end - 1])) --end;
    lines_.erase(lines_.begin() + static_cast<ptrdiff_t>(first),
                 lines_.begin() + static_cast<ptrdiff_t>(end));
    return joined();
  }

  // Refuses `text` unless it says what `expected` says.
  std::string checked(const std::string& text, const RegistryFile& expected) const {
    try {
      if (parse_registry(text, file_) == expected) return text;
    } catch (const Error&) {
    }
    throw Error(kSchemaCode,
                fmt::format("{}:{}: this expert is written so that the program cannot change one "
                            "key of it",
                            file_, line_of(path()) + 1),
                "write it as an [[expert]] table with each key on a line of its own, or change the "
                "file by hand");
  }

  RegistryFile before() const { return before_; }
  size_t index() const { return index_; }

 private:
  std::string path() const { return fmt::format("expert[{}]", index_); }
  size_t line_of(const std::string& key) const {
    return static_cast<size_t>(document_.lines.at(key) - 1);
  }

  // The line of the first thing after `first` that is no part of this expert; the end if there is
  // none.
  size_t next_line(size_t first) const {
    size_t next = lines_.size();
    for (const auto& [key, number] : document_.lines) {
      const auto line = static_cast<size_t>(number - 1);
      if (line > first && !key.starts_with(path() + ".") && line < next) next = line;
    }
    return next;
  }

  // After the last key of the table whose value is on one line.
  void add_line(const std::string& key, const std::string& value) {
    size_t last = line_of(path() + ".name");
    for (const char* other : {"id", "version", "pin", "enabled", "required", "weight_cap"}) {
      const auto found = document_.lines.find(path() + "." + other);
      if (found != document_.lines.end())
        last = std::max(last, static_cast<size_t>(found->second - 1));
    }
    std::string& line = lines_[last];
    const std::string indent = line.substr(0, line.size() - without_indent(line).size());
    const std::string line_end = line.ends_with("\r\n") ? "\r\n" : "\n";
    if (!line.ends_with('\n')) line += line_end;
    lines_.insert(lines_.begin() + static_cast<ptrdiff_t>(last + 1),
                  fmt::format("{}{} = {}{}", indent, key, value, line_end));
  }

  std::string joined() const { return join(lines_, ""); }

  const std::string& file_;
  std::vector<std::string> lines_;
  TomlDocument document_;
  RegistryFile before_;
  size_t index_ = 0;
};

}  // namespace

std::string new_registry_text(const EncoderEntry& encoder) {
  Json table = {{"path", encoder.path}};
  if (encoder.max_length) table["max_length"] = *encoder.max_length;
  table["special_tokens_in_text"] = encoder.special_tokens;
  if (!encoder.fingerprint.empty()) table["fingerprint"] = encoder.fingerprint;
  Json root = {{"schema", 1}};
  root["encoder"] = std::move(table);
  std::string text = "# Edit freely: the program changes nothing here but what it is asked to.\n";
  text += to_toml(root);
  parse_registry(text, "new registry.toml");
  return text;
}

std::string with_expert(const std::string& text, const ExpertEntry& entry,
                        const std::string& file) {
  const TomlDocument before = parse_toml(text, file, "E_REG", kMaxRegistry);
  parse_registry(text, file);
  std::string added = text.empty() || text.ends_with('\n') ? "" : "\n";
  if (before.root.empty()) added += "schema = 1\n";
  added += expert_text(entry);
  std::string result = text + (text.find("\r\n") == std::string::npos ? added : with_crlf(added));
  try {
    parse_registry(result, file);
  } catch (const Error& error) {
    if (error.code() != "E_REG_SYNTAX") throw;
    // The text alone was in order, so what the table collides with is a list in brackets.
    throw Error(kSchemaCode, fmt::format("{}: no table can be appended to `expert = [...]`", file),
                "write each expert as an [[expert]] table");
  }
  return result;
}

std::string encoder_path(const fs::path& encoder, const fs::path& registry) {
  const fs::path absolute = fs::absolute(encoder / "").lexically_normal().parent_path();
  std::error_code error;
  // The system resolves `..` from where the registry really lies; a link to the encoder is kept.
  const fs::path base = fs::canonical(registry, error);
  const fs::path above = error ? fs::path() : fs::canonical(absolute.parent_path(), error);
  if (error) return absolute.string();
  const fs::path relative = (above / absolute.filename()).lexically_relative(base);
  const auto ups = std::ranges::count(relative, fs::path(".."));
  // Below the root lies everything.
  const int most = base.parent_path() == base.root_path() ? 0 : 1;
  return ups <= most ? relative.string() : absolute.string();
}

std::string with_encoder_path(const std::string& text, const std::string& path,
                              const std::string& file) {
  const TomlDocument document = parse_toml(text, file, "E_REG", kMaxRegistry);
  const auto line = document.lines.find("encoder.path");
  if (line == document.lines.end()) return text;
  RegistryFile wanted = parse_registry(text, file);
  wanted.encoder.path = path;
  std::vector<std::string> lines = lines_of(text);
  replace_value(lines[static_cast<size_t>(line->second - 1)], toml_string(path));
  const std::string result = join(lines, "");
  if (parse_registry(result, file) == wanted) return result;
  throw Error(kSchemaCode,
              fmt::format("{}:{}: `encoder.path` cannot be replaced here", file, line->second),
              "write it on a line of its own below [encoder]");
}

std::string with_enabled(const std::string& text, const std::string& name, bool enabled,
                         const std::string& file) {
  ExpertText expert(text, name, file);
  RegistryFile wanted = expert.before();
  if (wanted.experts[expert.index()].enabled == enabled) return text;
  wanted.experts[expert.index()].enabled = enabled;
  return expert.checked(expert.with_key("enabled", enabled ? "true" : "false"), wanted);
}

std::string with_pin(const std::string& text, const std::string& name,
                     const std::optional<Version>& pin, const std::string& file) {
  ExpertText expert(text, name, file);
  RegistryFile wanted = expert.before();
  if (wanted.experts[expert.index()].pin == pin) return text;
  wanted.experts[expert.index()].pin = pin;
  const std::optional<std::string> value =
      pin ? std::optional(toml_string(pin->text())) : std::nullopt;
  return expert.checked(expert.with_key("pin", value), wanted);
}

std::string without_expert(const std::string& text, const std::string& name,
                           const std::string& file) {
  ExpertText expert(text, name, file);
  RegistryFile wanted = expert.before();
  wanted.experts.erase(wanted.experts.begin() + static_cast<ptrdiff_t>(expert.index()));
  return expert.checked(expert.without_table(), wanted);
}

void append_expert(const fs::path& folder, const ExpertEntry& entry) {
  const fs::path path = registry_path(folder);
  write_file_atomic(path, with_expert(registry_text(folder), entry, escaped(path.string())));
}

}  // namespace moecollab::registry
