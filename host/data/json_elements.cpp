#include "data/json_elements.h"

#include <fmt/format.h>

#include <utility>

#include "base/strings.h"
#include "data/lines.h"

namespace moecollab::data {
namespace {

bool is_json_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

}  // namespace

std::optional<JsonElement> JsonElements::next() {
  if (pending_ > 0) drop(std::exchange(pending_, 0));
  if (stopped_) return std::nullopt;
  if (!in_element_ && !skip_between()) {
    if (!problem_.empty()) return damaged(std::exchange(problem_, {}));
    return std::nullopt;
  }
  if (!find_end()) {
    if (offset_ > kMaxLine)
      return damaged(fmt::format("the element is longer than {} MiB", kMaxLine >> 20));
    if (finished_) return damaged("the file ends inside this element");
    return std::nullopt;
  }
  pending_ = offset_;
  in_element_ = false;
  where_ = Where::kAfterElement;
  return JsonElement{line_, buffer_.view().substr(0, offset_), {}};
}

// Goes to the first byte of the next element; false if it is not there (yet), with a problem_ if
// something else is.
bool JsonElements::skip_between() {
  const std::string_view bytes = buffer_.view();
  size_t at = 0;
  bool comma = !array_ || where_ != Where::kAfterElement;
  const auto stop = [&](std::string problem) {
    drop(at);
    problem_ = std::move(problem);
    return false;
  };
  for (; at < bytes.size(); ++at) {
    const char c = bytes[at];
    if (is_json_space(c)) continue;
    if (where_ == Where::kAfterArray) return stop("something follows the end of the array");
    if (where_ == Where::kBefore && c == '[') {
      array_ = true;
      where_ = Where::kArrayBegun;
      continue;
    }
    if (array_ && c == ']' && where_ != Where::kAfterComma) {
      where_ = Where::kAfterArray;
      continue;
    }
    if (array_ && c == ',' && !comma) {
      comma = true;
      where_ = Where::kAfterComma;
      continue;
    }
    if (!comma || c == ',' || c == '}' || c == ']')
      return stop(fmt::format("`{}` is no JSON here", escaped(bytes.substr(at, 1))));
    drop(at);
    in_element_ = true;
    offset_ = 0;
    depth_ = 0;
    in_string_ = false;
    return true;
  }
  drop(at);
  if (finished_ && array_ && where_ != Where::kAfterArray)
    return stop("the file ends before the array does");
  return false;
}

// Scans to the end of the element; true once it is there.
bool JsonElements::find_end() {
  const std::string_view bytes = buffer_.view();
  for (; offset_ < bytes.size(); ++offset_) {
    const char c = bytes[offset_];
    if (in_string_) {
      offset_ = find_either(bytes, offset_, '"', '\\');
      if (offset_ == std::string_view::npos) {
        offset_ = bytes.size();
        return false;
      }
      if (bytes[offset_] == '"') {
        in_string_ = false;
        if (depth_ > 0) continue;
        ++offset_;
        return true;
      }
      if (offset_ + 1 >= bytes.size()) return false;  // what is escaped is not there yet
      ++offset_;
      continue;
    }
    if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      ++depth_;
    } else if (depth_ > 0) {
      if ((c == '}' || c == ']') && --depth_ == 0) {
        ++offset_;
        return true;
      }
    } else if (is_json_space(c) || c == ',' || c == ']' || c == '}') {
      return true;
    }
  }
  return finished_ && depth_ == 0 && !in_string_;
}

JsonElement JsonElements::damaged(std::string reason) {
  stopped_ = true;
  return {line_, {}, std::move(reason)};
}

void JsonElements::drop(size_t count) {
  const std::string_view bytes = buffer_.view();
  for (size_t at = 0; at < count; ++at) {
    const bool after_return = std::exchange(after_return_, bytes[at] == '\r');
    if (bytes[at] == '\r' || (bytes[at] == '\n' && !after_return)) ++line_;
  }
  buffer_.drop(count);
}

}  // namespace moecollab::data
