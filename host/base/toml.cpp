#include "base/toml.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/strings.h"
#include "base/toml_parser.h"

namespace moecollab {
namespace {

constexpr size_t kMaxDepth = 8;

// Size and bytes.
void screen(std::string_view bytes, const std::string& file, const std::string& family,
            size_t limit) {
  if (bytes.size() > limit) {
    throw Error(family + "_SIZE",
                fmt::format("{}: {} bytes, more than the {} allowed", file, bytes.size(), limit));
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

Error too_deep(const std::string& file, const std::string& family, int line) {
  return Error(family + "_SIZE",
               fmt::format("{}:{}: nested deeper than {} levels", file, line, kMaxDepth));
}

bool is_bare_key(std::string_view key) {
  return !key.empty() && key.find_first_not_of(
                             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
                             std::string_view::npos;
}

// Refuses nesting that the parser would recurse into (the dots of one key, open brackets), and, for
// the sake of a line number, what it has no message for: brackets that do not match and headers
// without a name. Follows quotes and comments as the parser does; if a line is wrong, the parser
// stops there, so what is counted after it does not matter.
class Structure {
 public:
  Structure(std::string_view bytes, const std::string& file, const std::string& family)
      : bytes_(bytes), file_(file), family_(family) {}

  void check() {
    for (; at_ < bytes_.size(); ++at_) {
      const char c = bytes_[at_];
      if (c == '"' || c == '\'') {
        skip_string(c);
      } else if (c == '#') {
        at_ = std::min(bytes_.find('\n', at_), bytes_.size()) - 1;
      } else {
        count(c);
      }
    }
  }

 private:
  bool is_triple(char c) const { return bytes_.substr(at_, 3) == std::string(3, c); }

  int line() const {
    return 1 + static_cast<int>(
                   std::count(bytes_.begin(), bytes_.begin() + static_cast<ptrdiff_t>(at_), '\n'));
  }

  [[noreturn]] void fail(size_t at, std::string_view what) const {
    const size_t line_end = bytes_.substr(0, at).rfind('\n');  // npos + 1 is 0
    throw Error(family_ + "_SYNTAX",
                fmt::format("{}:{}:{}: {}", file_, line(), at - line_end, what));
  }

  // Moves to the string's last byte, or before the line end that breaks it off.
  void skip_string(char quote) {
    const bool multiline = is_triple(quote);
    for (at_ += multiline ? 3 : 1; at_ < bytes_.size(); ++at_) {
      const char c = bytes_[at_];
      if (c == '\n' && !multiline) {
        --at_;
        return;
      }
      const bool escape =
          c == '\\' && quote == '"' && at_ + 1 < bytes_.size() && bytes_[at_ + 1] != '\n';
      if (escape) ++at_;
      if (c != quote || (multiline && !is_triple(quote))) continue;
      if (!multiline) return;
      at_ += 2;
      // Up to two quotes may stand before the closing three: """a""""" ends here, not two later.
      for (int more = 0; more < 2 && at_ + 1 < bytes_.size() && bytes_[at_ + 1] == quote; ++more)
        ++at_;
      return;
    }
  }

  void count(char c) {
    if (c == '\n' && (open_.empty() || !in_value_)) {
      open_.clear();
      dots_ = 0;
      in_value_ = false;
    } else if (c == '=') {
      in_value_ = true;
      dots_ = 0;
    } else if (c == '.') {
      ++dots_;
    } else if (c == ',') {
      dots_ = 0;
    } else if (c == '[' || c == '{') {
      open_ += c == '[' ? ']' : '}';
      if (c == '[' && !in_value_) check_header();
    } else if (c == ']' || c == '}') {
      if (!open_.ends_with(c)) fail(at_, fmt::format("{} closes nothing that is open", c));
      open_.pop_back();
    }
    if (dots_ >= kMaxDepth || open_.size() > kMaxDepth) throw too_deep(file_, family_, line());
  }

  // After "[" or "[[" of a header.
  void check_header() const {
    const size_t next = bytes_.find_first_not_of(" \t", at_ + 1);
    if (next == std::string_view::npos) return;
    const char c = bytes_[next];
    const bool second = c == '[' && open_.size() == 1;
    if (second || c == ']' || c == '"' || c == '\'' || is_bare_key({&c, 1})) return;
    fail(next, "a table header needs a name, as in [name]");
  }

  std::string_view bytes_;
  const std::string& file_;
  const std::string& family_;
  size_t at_ = 0;
  size_t dots_ = 0;
  std::string open_;  // the closing bracket of each open one
  bool in_value_ = false;
};

class Converter {
 public:
  Converter(const std::string& file, const std::string& family, TomlDocument& out)
      : file_(file), family_(family), out_(out) {}

  // `keys`: how many keys lead here; a table header and dotted keys below it add up.
  Json convert(const toml::node& node, const std::string& path, size_t keys) {
    const auto line = static_cast<int>(node.source().begin.line);
    if (keys > kMaxDepth) throw too_deep(file_, family_, line);
    out_.lines[path] = line;
    if (const auto* table = node.as_table()) {
      Json object = Json::object();
      for (const auto& [key, value] : *table) {
        const std::string name(key.str());
        object[name] =
            convert(value, path.empty() ? name : fmt::format("{}.{}", path, name), keys + 1);
      }
      return object;
    }
    if (const auto* array = node.as_array()) {
      Json list = Json::array();
      for (size_t i = 0; i < array->size(); ++i)
        list.push_back(convert(*array->get(i), fmt::format("{}[{}]", path, i), keys));
      return list;
    }
    if (const auto* v = node.as_string()) return v->get();
    if (const auto* v = node.as_integer()) return v->get();
    if (const auto* v = node.as_boolean()) return v->get();
    if (const auto* v = node.as_floating_point()) return v->get();
    throw Error(family_ + "_SCHEMA",
                fmt::format("{}:{}: `{}` is a date or time; nothing here takes one", file_,
                            node.source().begin.line, path),
                "write it in quotes");
  }

 private:
  const std::string& file_;
  const std::string& family_;
  TomlDocument& out_;
};

std::string key_text(const std::string& key) { return is_bare_key(key) ? key : toml_string(key); }

// A value after "key = ".
std::string scalar(const Json& value) {
  if (value.is_string()) return toml_string(value.get<std::string>());
  if (value.is_number_float()) {
    const double number = value.get<double>();
    if (!std::isfinite(number)) return number > 0 ? "inf" : number < 0 ? "-inf" : "nan";
    const std::string text = fmt::format("{}", number);
    return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
  }
  if (value.is_object()) {
    std::string members;
    for (const auto& [key, item] : value.items()) {
      if (!item.is_null())
        members += (members.empty() ? "" : ", ") + key_text(key) + " = " + scalar(item);
    }
    return members.empty() ? "{}" : "{ " + members + " }";
  }
  if (!value.is_array()) return value.dump();
  std::string list;
  for (const Json& item : value) list += (list.empty() ? "" : ", ") + scalar(item);
  return "[" + list + "]";
}

void write_table(const Json& table, const std::string& prefix, std::string& out) {
  const auto is_table_list = [](const Json& v) {
    return v.is_array() && !v.empty() &&
           std::all_of(v.begin(), v.end(), [](const Json& i) { return i.is_object(); });
  };
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

TomlDocument parse_toml(std::string_view bytes, const std::string& file,
                        const std::string& code_family, size_t limit) {
  screen(bytes, file, code_family, limit);
  Structure(bytes, file, code_family).check();
  TomlDocument document;
  try {
    const toml::table table = toml::parse(bytes, file);
    document.root = Converter(file, code_family, document).convert(table, "", 0);
  } catch (const toml::parse_error& error) {
    const auto& at = error.source().begin;
    throw Error(code_family + "_SYNTAX", fmt::format("{}:{}:{}: {}", file, at.line, at.column,
                                                     escaped(error.description())));
  } catch (const TomlAssertion&) {
    throw Error(code_family + "_SYNTAX",
                fmt::format("{}: no TOML; most likely a malformed date or time", file),
                "nothing here takes a date: write a string");
  }
  return document;
}

TomlDocument read_toml(const fs::path& path, const std::string& code_family, size_t limit) {
  // One byte over the limit is enough to refuse for size; a larger file is never read whole.
  std::error_code ignored;
  const auto size = fs::is_regular_file(path, ignored) ? fs::file_size(path, ignored) : 0;
  if (size > limit && size != static_cast<uintmax_t>(-1)) {
    throw Error(code_family + "_SIZE", fmt::format("{}: {} bytes, more than the {} allowed",
                                                   escaped(path.string()), size, limit));
  }
  return parse_toml(read_file(path, code_family + "_IO", limit), escaped(path.string()),
                    code_family, limit);
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
