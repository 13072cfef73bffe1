#include "base/finished_lines.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab {
namespace {

constexpr uint64_t kMaxBytes = 64 << 20;

}  // namespace

FinishedLines::FinishedLines(fs::path file, std::string digest, Key key, Words words, Log log)
    : file_(std::move(file)),
      digest_(std::move(digest)),
      key_(std::move(key)),
      words_(std::move(words)) {
  if (!fs::exists(file_)) return;
  const std::string bytes = read_file(file_, "E_CKPT", kMaxBytes);
  size_t others = 0;
  for (size_t at = 0; at < bytes.size();) {
    const size_t end = std::min(bytes.find('\n', at), bytes.size());
    others += read_line(std::string_view(bytes).substr(at, end - at)) ? 0 : 1;
    at = end + 1;
  }
  if (others > 0) {
    log.warning(fmt::format("{}: {} {}{} of other data, experts or options; the first that this "
                            "run finishes takes the place of {}",
                            escaped(file_.string()), others, words_.part,
                            others == 1 ? " is" : "s are", others == 1 ? "it" : "them"),
                "to keep what is there, interrupt this run and name another folder with --out");
  }
  if (!lines_.empty())
    log.note(fmt::format("{} {}{} there already", lines_.size(), words_.part,
                         lines_.size() == 1 ? " is" : "s are"));
}

Json FinishedLines::at(const std::string& key) const {
  Json line = lines_.at(key);
  line.erase("digest");
  return line;
}

void FinishedLines::add(Json line) {
  line["digest"] = digest_;
  const std::string key = key_(line);
  lines_[key] = std::move(line);
  std::string text;
  for (const auto& [name, finished] : lines_) text += to_line(finished) + "\n";
  write_file_atomic(file_, text);
}

bool FinishedLines::read_line(std::string_view line) {
  try {
    Json json = parse_json(line);
    if (json.at("digest").get<std::string>() != digest_) return false;
    const std::string key = key_(json);
    lines_[key] = std::move(json);
    return true;
  } catch (const std::exception& error) {
    throw Error("E_CKPT",
                fmt::format("{}: a line is no finished {}: {}", escaped(file_.string()),
                            words_.part, escaped(error.what())),
                words_.way_on);
  }
}

void name_what_is_kept(std::string_view parts, const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    if (error.code() != "E_INTERRUPTED") throw;
    throw Error(error.code(), fmt::format("the run was interrupted; the {} are kept", parts),
                "the same command continues");
  }
}

}  // namespace moecollab
