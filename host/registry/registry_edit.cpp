#include "registry/registry_edit.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/strings.h"
#include "base/toml.h"
#include "registry/names.h"

namespace moecollab::registry {
namespace {

std::string expert_text(const ExpertEntry& entry) {
  Json table = {{"name", entry.name}, {"id", entry.id}, {"version", entry.version.text()}};
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

void append_expert(const fs::path& folder, const ExpertEntry& entry) {
  const fs::path path = registry_path(folder);
  write_file_atomic(path, with_expert(registry_text(folder), entry, escaped(path.string())));
}

}  // namespace moecollab::registry
