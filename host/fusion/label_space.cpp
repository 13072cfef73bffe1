#include "fusion/label_space.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <stdexcept>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab::fusion {
namespace {

constexpr char kCode[] = "E_DESC_LABELS";
constexpr size_t kMaxNameBytes = 128;

using LabelSet = std::unordered_set<std::string_view>;

LabelSet set_of(const std::vector<std::string>& labels) { return {labels.begin(), labels.end()}; }

// The first of `labels` that `others` lacks, or null.
const std::string* first_missing(const std::vector<std::string>& labels, const LabelSet& others) {
  const auto found = std::find_if(labels.begin(), labels.end(), [&](const std::string& label) {
    return !others.contains(label);
  });
  return found == labels.end() ? nullptr : &*found;
}

bool is_name_part(std::string_view part) {
  return !part.empty() && std::all_of(part.begin(), part.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  });
}

bool is_base(std::string_view base) {
  while (true) {
    const size_t dot = base.find('.');
    if (!is_name_part(base.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    base.remove_prefix(dot + 1);
  }
}

std::string origin_or(std::string_view from, std::string_view fallback) {
  return escaped(from.empty() ? fallback : from);
}

void check_labels(const LabelSpace& space, std::string_view from) {
  const std::string where =
      fmt::format("label space `{}` of {}", escaped(space.name), origin_or(from, "a new expert"));
  if (space.labels.empty()) {
    throw Error(kCode, where + " has no labels", "list its labels in the order of its classes");
  }
  LabelSet seen;
  for (size_t i = 0; i < space.labels.size(); ++i) {
    const std::string& label = space.labels[i];
    if (label.empty()) {
      throw Error(kCode, fmt::format("{}: label {} of {} is empty", where, i, space.labels.size()),
                  "give every class a name");
    }
    if (!seen.insert(label).second) {
      throw Error(kCode, fmt::format("{}: `{}` is listed twice", where, escaped(label)),
                  "every class needs a label of its own");
    }
  }
}

}  // namespace

SpaceName parse_space_name(std::string_view name) {
  const auto refuse = [&](std::string_view why) {
    throw Error(kCode, fmt::format("label space name `{}` {}", escaped(name), why),
                "write a name and a version, as in `emotion/1` or `org.example.emotion/1`");
  };
  if (name.size() > kMaxNameBytes) {
    refuse(fmt::format("has {} bytes; at most {} are allowed", name.size(), kMaxNameBytes));
  }
  const size_t slash = name.find('/');
  if (slash == std::string_view::npos) refuse("has no version");
  const std::string_view base = name.substr(0, slash);
  const std::string_view digits = name.substr(slash + 1);
  if (!is_base(base)) {
    refuse("has a base of other than letters, digits, '-' and '_' in parts joined by dots");
  }
  int version = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), version);
  const bool whole = error == std::errc{} && end == digits.data() + digits.size();
  // from_chars takes "-1" and "01", which would be second names of the same version or none.
  if (!whole || version < 1 || digits.starts_with('0')) {
    refuse("has a version that is no whole number from 1");
  }
  return {std::string(base), version, base.find('.') != std::string_view::npos};
}

int LabelUnion::add(const LabelSpace& space, bool partial, std::string_view from) {
  parse_space_name(space.name);
  check_labels(space, from);
  if (const std::optional<int> known = find(space.name)) {
    merge(*known, space, partial, from);
    return *known;
  }
  spaces_.push_back(space);
  origins_.push_back({std::string(from), !partial});
  return static_cast<int>(spaces_.size()) - 1;
}

void LabelUnion::merge(int index, const LabelSpace& space, bool partial, std::string_view from) {
  LabelSpace& known = spaces_.at(index);
  Origin& origin = origins_.at(index);
  const LabelSet known_labels = set_of(known.labels);
  const LabelSet new_labels = set_of(space.labels);

  if (partial && !origin.complete) {
    // In two steps: the set points into the labels, which move when they grow.
    std::vector<std::string> added;
    std::copy_if(space.labels.begin(), space.labels.end(), std::back_inserter(added),
                 [&](const std::string& label) { return !known_labels.contains(label); });
    known.labels.insert(known.labels.end(), added.begin(), added.end());
    return;
  }
  const std::string* extra = first_missing(space.labels, known_labels);
  const std::string* absent = first_missing(known.labels, new_labels);
  if (origin.complete && extra != nullptr) {
    refuse(index, space, from, fmt::format("`{}` is only in the second", escaped(*extra)));
  }
  if (!partial && absent != nullptr) {
    refuse(index, space, from, fmt::format("`{}` is only in the first", escaped(*absent)));
  }
  if (!origin.complete) {
    known.labels = space.labels;
    origin = {std::string(from), true};
  }
}

void LabelUnion::refuse(int index, const LabelSpace& space, std::string_view from,
                        const std::string& difference) const {
  throw Error(kCode,
              fmt::format("label space `{}` is described in two ways: {} ({} labels) and {} ({} "
                          "labels); first difference: {}",
                          escaped(space.name), origin_or(origins_[index].from, "the first expert"),
                          spaces_[index].labels.size(), origin_or(from, "a later expert"),
                          space.labels.size(), difference),
              "use the same labels, set `partial = true` for a subset, or give the space another "
              "name or version");
}

int LabelUnion::size() const {
  int total = 0;
  for (const LabelSpace& space : spaces_) total += static_cast<int>(space.labels.size());
  return total;
}

int LabelUnion::c_max() const {
  size_t widest = 0;
  for (const LabelSpace& space : spaces_) widest = std::max(widest, space.labels.size());
  return static_cast<int>(widest);
}

std::optional<int> LabelUnion::find(std::string_view name) const {
  const auto found = std::find_if(spaces_.begin(), spaces_.end(),
                                  [&](const LabelSpace& space) { return space.name == name; });
  if (found == spaces_.end()) return std::nullopt;
  return static_cast<int>(found - spaces_.begin());
}

LabelUnion::Range LabelUnion::range(int space) const {
  const int count = static_cast<int>(spaces_.at(space).labels.size());
  int offset = 0;
  for (int i = 0; i < space; ++i) offset += static_cast<int>(spaces_[i].labels.size());
  return {offset, count};
}

std::optional<int> LabelUnion::id(int space, std::string_view label) const {
  const std::vector<std::string>& labels = spaces_.at(space).labels;
  const auto found = std::find(labels.begin(), labels.end(), label);
  if (found == labels.end()) return std::nullopt;
  return range(space).offset + static_cast<int>(found - labels.begin());
}

int LabelUnion::space_of(int id) const {
  if (id >= 0) {
    for (size_t space = 0; space < spaces_.size(); ++space) {
      const int count = static_cast<int>(spaces_[space].labels.size());
      if (id < count) return static_cast<int>(space);
      id -= count;
    }
  }
  throw std::out_of_range("LabelUnion: no label has this global id");
}

const std::string& LabelUnion::label(int id) const {
  const int space = space_of(id);
  return spaces_[space].labels[id - range(space).offset];
}

std::vector<int> LabelUnion::columns(int space, std::span<const std::string> expert_labels) const {
  const int offset = range(space).offset;
  const std::vector<std::string>& labels = spaces_[space].labels;
  std::unordered_map<std::string_view, int> positions;
  for (size_t i = 0; i < labels.size(); ++i) positions.emplace(labels[i], static_cast<int>(i));

  std::vector<int> out;
  out.reserve(expert_labels.size());
  for (const std::string& label : expert_labels) {
    const auto found = positions.find(label);
    if (found == positions.end()) {
      throw Error(kCode,
                  fmt::format("`{}` is no label of `{}`{}", escaped(label), spaces_[space].name,
                              did_you_mean(label, labels)),
                  "the labels of an expert must be those of its label space");
    }
    out.push_back(offset + found->second);
  }
  return out;
}

}  // namespace moecollab::fusion
