#include "base/json.h"

#include <fmt/format.h>

#include <set>
#include <stdexcept>
#include <vector>

#include "base/strings.h"

namespace moecollab {
namespace {

// Builds the document and refuses what the DOM parser lets pass: duplicate keys and deep nesting.
class StrictReader {
 public:
  StrictReader(Json& root, int max_depth)
      : builder_(root, /*allow_exceptions=*/true), max_depth_(max_depth) {}

  bool null() { return builder_.null(); }
  bool boolean(bool v) { return builder_.boolean(v); }
  bool number_integer(Json::number_integer_t v) { return builder_.number_integer(v); }
  bool number_unsigned(Json::number_unsigned_t v) { return builder_.number_unsigned(v); }
  bool number_float(Json::number_float_t v, const std::string& s) {
    return builder_.number_float(v, s);
  }
  bool string(std::string& v) { return builder_.string(v); }
  bool binary(Json::binary_t& v) { return builder_.binary(v); }
  bool start_object(size_t n) {
    open();
    return builder_.start_object(n);
  }
  bool start_array(size_t n) {
    open();
    return builder_.start_array(n);
  }
  bool key(std::string& name) {
    if (!keys_.back().insert(name).second) {
      throw std::invalid_argument(fmt::format("key \"{}\" stands twice", escaped(name, 80)));
    }
    return builder_.key(name);
  }
  bool end_object() {
    keys_.pop_back();
    return builder_.end_object();
  }
  bool end_array() {
    keys_.pop_back();
    return builder_.end_array();
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& error) {
    // The library's text is "[json.exception.parse_error.101] parse error at …: reason".
    std::string_view reason = error.what();
    const size_t start = reason.find("] ");
    if (start != std::string_view::npos) reason.remove_prefix(start + 2);
    throw std::invalid_argument(
        fmt::format("not JSON (byte {}): {}", position, escaped(reason, 160)));
  }

 private:
  void open() {
    keys_.emplace_back();
    if (static_cast<int>(keys_.size()) > max_depth_) {
      throw std::invalid_argument(fmt::format("nested deeper than {} levels", max_depth_));
    }
  }

  nlohmann::detail::json_sax_dom_parser<Json> builder_;
  int max_depth_;
  std::vector<std::set<std::string>> keys_;
};

constexpr auto kReplaceBadUtf8 = Json::error_handler_t::replace;

}  // namespace

Json parse_json(std::string_view bytes, int max_depth) {
  // The library skips the one without a word and takes the other for the end of the input.
  if (bytes.starts_with("\xEF\xBB\xBF"))
    throw std::invalid_argument("it begins with a byte order mark");
  if (const size_t nul = bytes.find('\0'); nul != std::string_view::npos) {
    throw std::invalid_argument(fmt::format("NUL byte at byte {}", nul));
  }
  Json root;
  StrictReader reader(root, max_depth);
  Json::sax_parse(bytes.begin(), bytes.end(), &reader);
  return root;
}

std::string to_line(const Json& value) { return value.dump(-1, ' ', false, kReplaceBadUtf8); }
std::string to_text(const Json& value) { return value.dump(1, ' ', false, kReplaceBadUtf8) + "\n"; }

}  // namespace moecollab
