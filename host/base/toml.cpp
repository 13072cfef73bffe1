#include "base/toml.h"

#include <fmt/format.h>
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include <cmath>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab {
namespace {

constexpr int kMaxDepth = 8;

// Nesting that a parser would recurse into, counted without parsing: a bound on the dots of one line's
// keys and on open brackets. Over-counting inside strings is harmless: 8 levels are already generous.
void screen(std::string_view bytes, const std::string& file, const std::string& family, size_t limit) {
  if (bytes.size() > limit) {
    throw Error(family + "_SIZE", fmt::format("{}: {} bytes, more than the {} allowed", file, bytes.size(), limit));
  }
  const auto refuse = [&](size_t at, std::string_view what) {
    throw Error(family + "_BYTES", fmt::format("{}: {} at byte {}", file, what, at),
                "save the file as plain UTF-8 text");
  };
  size_t bad = 0;
  if (!is_utf8(bytes, &bad)) refuse(bad, "invalid UTF-8");
  if (bytes.starts_with("\xEF\xBB\xBF")) refuse(0, "a byte order mark");
  for (size_t i = 0; i < bytes.size(); ++i) {
    const auto c = static_cast<unsigned char>(bytes[i]);
    const bool carriage_return = c == '\r' && i + 1 < bytes.size() && bytes[i + 1] == '\n';
    if ((c < 0x20 && c != '\t' && c != '\n' && !carriage_return) || c == 0x7F) {
      refuse(i, fmt::format("control byte 0x{:02x}", c));
    }
  }
}

// Follows quotes and comments well enough to count nesting as the parser would meet it.
void screen_depth(std::string_view bytes, const std::string& file, const std::string& family) {
  int line = 1, dots = 0, brackets = 0;
  bool in_value = false;
  char quote = 0;
  bool multiline = false;
  const auto is_triple = [&](size_t i, char c) { return bytes.substr(i, 3) == std::string(3, c); };
  for (size_t i = 0; i < bytes.size(); ++i) {
    const char c = bytes[i];
    if (c == '\n') {
      ++line;
      if (!multiline) quote = 0;
      if (brackets == 0 || !in_value) dots = brackets = 0, in_value = false;
    }
    if (quote != 0) {
      if (c == '\\' && quote == '"') {
        ++i;
        if (i < bytes.size() && bytes[i] == '\n') ++line;
      } else if (c == quote && (!multiline || is_triple(i, quote))) {
        if (multiline) i += 2;
        quote = 0;
      }
      continue;
    }
    if (c == '"' || c == '\'') {
      multiline = is_triple(i, c);
      if (multiline) i += 2;
      quote = c;
    } else if (c == '#') {
      while (i + 1 < bytes.size() && bytes[i + 1] != '\n') ++i;
    } else if (c == '=') {
      in_value = true;
      dots = 0;
    } else if (c == '.') {
      ++dots;
    } else if (c == ',') {
      dots = 0;
    } else if (c == '[' || c == '{') {
      ++brackets;
    } else if ((c == ']' || c == '}') && brackets > 0) {
      --brackets;
    }
    if (dots >= kMaxDepth || brackets > kMaxDepth) {
      throw Error(family + "_SIZE", fmt::format("{}:{}: nested deeper than {} levels", file, line, kMaxDepth));
    }
  }
}

class Converter {
 public:
  Converter(const std::string& file, const std::string& family, TomlDocument& out)
      : file_(file), family_(family), out_(out) {}

  Json convert(const toml::node& node, const std::string& path) {
    out_.lines[path] = static_cast<int>(node.source().begin.line);
    if (const auto* table = node.as_table()) {
      Json object = Json::object();
      for (const auto& [key, value] : *table) {
        const std::string name(key.str());
        object[name] = convert(value, path.empty() ? name : path + "." + name);
      }
      return object;
    }
    if (const auto* array = node.as_array()) {
      Json list = Json::array();
      for (size_t i = 0; i < array->size(); ++i) list.push_back(convert(*array->get(i), fmt::format("{}[{}]", path, i)));
      return list;
    }
    if (const auto* v = node.as_string()) return v->get();
    if (const auto* v = node.as_integer()) return v->get();
    if (const auto* v = node.as_boolean()) return v->get();
    if (const auto* v = node.as_floating_point()) return v->get();
    throw Error(family_ + "_SCHEMA", fmt::format("{}:{}: `{}` is a date or time; nothing here takes one", file_,
                                                 node.source().begin.line, path));
  }

 private:
  const std::string& file_;
  const std::string& family_;
  TomlDocument& out_;
};

std::string scalar(const Json& value) {
  if (value.is_string()) return toml_string(value.get<std::string>());
  if (value.is_number_float()) {
    const double number = value.get<double>();
    if (!std::isfinite(number)) return number > 0 ? "inf" : number < 0 ? "-inf" : "nan";
    const std::string text = fmt::format("{}", number);
    return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
  }
  if (!value.is_array()) return value.dump();
  std::string list;
  for (const Json& item : value) list += (list.empty() ? "" : ", ") + scalar(item);
  return "[" + list + "]";
}

bool is_bare_key(std::string_view key) {
  return !key.empty() && key.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
                             std::string_view::npos;
}

std::string key_text(const std::string& key) { return is_bare_key(key) ? key : toml_string(key); }

void write_table(const Json& table, const std::string& prefix, std::string& out) {
  const auto is_table_list = [](const Json& v) { return v.is_array() && !v.empty() && v[0].is_object(); };
  for (const auto& [key, value] : table.items()) {
    if (value.is_null() || value.is_object() || is_table_list(value)) continue;
    out += fmt::format("{} = {}\n", key_text(key), scalar(value));
  }
  for (const auto& [key, value] : table.items()) {
    const std::string path = prefix + key_text(key);
    if (value.is_object()) {
      out += fmt::format("\n[{}]\n", path);
      write_table(value, path + ".", out);
    } else if (is_table_list(value)) {
      for (const Json& item : value) {
        out += fmt::format("\n[[{}]]\n", path);
        write_table(item, path + ".", out);
      }
    }
  }
}

}  // namespace

TomlDocument parse_toml(std::string_view bytes, const std::string& file, const std::string& code_family,
                        size_t limit) {
  screen(bytes, file, code_family, limit);
  screen_depth(bytes, file, code_family);
  TomlDocument document;
  try {
    const toml::table table = toml::parse(bytes, file);
    document.root = Converter(file, code_family, document).convert(table, "");
  } catch (const toml::parse_error& error) {
    const auto& at = error.source().begin;
    throw Error(code_family + "_SYNTAX",
                fmt::format("{}:{}:{}: {}", file, at.line, at.column, escaped(error.description())));
  }
  return document;
}

TomlDocument read_toml(const fs::path& path, const std::string& code_family, size_t limit) {
  // One byte over the limit is enough to refuse for size; a larger file is never read whole.
  std::error_code ignored;
  const auto size = fs::is_regular_file(path, ignored) ? fs::file_size(path, ignored) : 0;
  if (size > limit && size != static_cast<uintmax_t>(-1)) {
    throw Error(code_family + "_SIZE", fmt::format("{}: {} bytes, more than the {} allowed", escaped(path.string()), size, limit));
  }
  return parse_toml(read_file(path, code_family + "_IO", limit), escaped(path.string()), code_family, limit);
}

std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7F) {
      out += fmt::format("\\u{:04x}", byte);
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string to_toml(const Json& table) {
  std::string out;
  write_table(table, "", out);
  return out;
}

}  // namespace moecollab
