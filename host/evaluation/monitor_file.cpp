#include "evaluation/monitor_file.h"

#include <fmt/format.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/strings.h"

namespace moecollab::evaluation {
namespace {

constexpr uint64_t kMaxBytes = uint64_t{256} << 20;

bool is_shift(const Json& value) { return value.is_object() && value.at("psi").is_number(); }

bool is_line(const Json& line) {
  return line.at("time").is_string() && line.at("by").is_string() && line.at("gate").is_string() &&
         line.at("texts").is_number() && is_shift(line.at("load")) &&
         is_shift(line.at("entropy")) &&
         (line.at("answers").is_null() || is_shift(line.at("answers")));
}

Json parsed(const std::string& text, const fs::path& file, size_t number) {
  std::string reason = "it has not the keys of one";
  try {
    Json line = parse_json(text);
    if (is_line(line)) return line;
  } catch (const std::exception& error) {
    reason = error.what();
  }
  throw Error(
      "E_DATA",
      fmt::format("{}:{} is no line of --monitor: {}", shown(file), number, escaped(reason)),
      "name another file, or take that line out");
}

}  // namespace

Json monitor_line(const std::string& by, const std::string& gate_sha256, const Drift& drift) {
  Json line = {{"time", utc_now("%Y-%m-%dT%H:%M:%SZ")}, {"by", by}, {"gate", gate_sha256}};
  line.update(to_json(drift));
  return line;
}

std::vector<Json> read_monitor(const fs::path& file) {
  std::vector<Json> lines;
  if (!fs::exists(file)) return lines;
  const std::string bytes = read_file(file, "E_DATA", kMaxBytes);
  size_t number = 0;
  for (size_t at = 0, end; (end = bytes.find('\n', at)) != std::string::npos; at = end + 1) {
    ++number;
    lines.push_back(parsed(bytes.substr(at, end - at), file, number));
  }
  return lines;
}

}  // namespace moecollab::evaluation
