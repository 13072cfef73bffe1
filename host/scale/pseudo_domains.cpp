#include "scale/pseudo_domains.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "base/strings.h"

namespace moecollab::scale {
namespace {

using Examples = std::vector<data::Example>;

struct Part {
  PseudoDomain domain;
  int halvings = 0;
};

std::map<std::string, int64_t> counts_of(const Examples& examples) {
  std::map<std::string, int64_t> counts;
  for (const data::Example& example : examples) ++counts[example.label];
  return counts;
}

// The labels by falling frequency, equal ones by name, dealt into groups.
std::vector<std::set<std::string>> label_groups(const std::map<std::string, int64_t>& counts) {
  std::vector<std::pair<std::string, int64_t>> labels(counts.begin(), counts.end());
  std::ranges::stable_sort(labels, std::greater<>(), &std::pair<std::string, int64_t>::second);
  std::vector<std::set<std::string>> groups(std::max<size_t>(1, labels.size() / 2));
  for (size_t i = 0; i < labels.size(); ++i) groups[i % groups.size()].insert(labels[i].first);
  return groups;
}

template <typename Keep>
Examples those(const Examples& examples, const Keep& keep) {
  Examples kept;
  std::ranges::copy_if(examples, std::back_inserter(kept), keep);
  return kept;
}

std::vector<Part> by_labels(const data::Dataset& training, const data::Dataset& judged) {
  const std::map<std::string, int64_t> counts = counts_of(training.examples);
  if (counts.size() < 2) {
    throw Error("E_DATA",
                fmt::format("{} has one label only, {}", escaped(training.file.string()),
                            escaped(counts.begin()->first, 40)),
                "leave the domain out");
  }
  for (const data::Example& example : judged.examples) {
    if (counts.contains(example.label)) continue;
    throw Error("E_DATA", fmt::format("{}:{}: label {} is not in {}", escaped(judged.file.string()),
                                      example.line, escaped(example.label, 40),
                                      escaped(training.file.string())));
  }
  const std::vector<std::set<std::string>> groups = label_groups(counts);
  std::vector<Part> parts;
  for (size_t i = 0; i < groups.size(); ++i) {
    const auto in_group = [&](const data::Example& e) { return groups[i].contains(e.label); };
    parts.push_back(
        {{groups.size() == 1 ? training.domain : fmt::format("{}-{}", training.domain, i + 1),
          training.domain, those(training.examples, in_group), those(judged.examples, in_group)}});
  }
  std::erase_if(parts, [](const Part& part) { return part.domain.judged.empty(); });
  return parts;
}

Part half_of(const Part& part, size_t median, bool is_long) {
  const auto in_half = [&](const data::Example& e) { return (e.text.size() > median) == is_long; };
  const char* ending = is_long ? "l" : "s";
  std::string name = part.domain.name + (part.halvings == 0 ? "-" : "") + ending;
  return {{std::move(name), part.domain.source, those(part.domain.training, in_half),
           those(part.domain.judged, in_half)},
          part.halvings + 1};
}

// Both halves; none if one of them would have too little of a label, or nothing to judge.
std::vector<Part> halves(const Part& part) {
  if (part.halvings == kMostHalvings) return {};
  std::vector<size_t> lengths;
  for (const data::Example& example : part.domain.training) lengths.push_back(example.text.size());
  const auto middle = lengths.begin() + static_cast<int64_t>((lengths.size() - 1) / 2);
  std::ranges::nth_element(lengths, middle);
  const size_t labels = counts_of(part.domain.training).size();
  std::vector<Part> both;
  for (const bool is_long : {false, true}) {
    Part half = half_of(part, *middle, is_long);
    const auto counts = counts_of(half.domain.training);
    const bool enough =
        counts.size() == labels && std::ranges::all_of(counts, [](const auto& label) {
          return label.second >= kLeastOfALabel;
        });
    if (!enough || half.domain.judged.empty()) return {};
    both.push_back(std::move(half));
  }
  return both;
}

// Replaces the largest part that can be halved; false if none can.
bool halve_largest(std::vector<Part>& parts) {
  std::vector<size_t> order(parts.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, std::greater<>(),
                           [&](size_t i) { return parts[i].domain.training.size(); });
  for (const size_t i : order) {
    std::vector<Part> both = halves(parts[i]);
    if (both.empty()) continue;
    parts[i] = std::move(both[0]);
    parts.insert(parts.begin() + static_cast<int64_t>(i) + 1, std::move(both[1]));
    return true;
  }
  return false;
}

// One of each source, then the next one of each.
std::vector<PseudoDomain> in_turn(std::vector<Part> parts,
                                  const std::vector<data::Dataset>& sources) {
  std::vector<PseudoDomain> turns;
  const size_t count = parts.size();
  for (size_t turn = 0; turns.size() < count; ++turn) {
    for (const data::Dataset& source : sources) {
      size_t seen = 0;
      for (Part& part : parts) {
        if (part.domain.source == source.domain && seen++ == turn) turns.push_back(part.domain);
      }
    }
  }
  return turns;
}

// An expert is named by its domain and a few letters more.
void require_names(const std::vector<PseudoDomain>& domains) {
  constexpr size_t kLongest = 56;
  std::map<std::string, std::string> sources;
  for (const PseudoDomain& domain : domains) {
    if (domain.name.size() > kLongest) {
      throw Error("E_DATA",
                  fmt::format("domain {} has a name of {} bytes, its parts need one of at most 48",
                              escaped(domain.source), domain.source.size()),
                  "give its folder a shorter name");
    }
    const auto [other, is_new] = sources.emplace(domain.name, domain.source);
    if (is_new) continue;
    throw Error("E_DATA",
                fmt::format("parts of the domains {} and {} would both be {}",
                            escaped(other->second), escaped(domain.source), escaped(domain.name)),
                "give one of their folders another name");
  }
}

}  // namespace

std::vector<PseudoDomain> pseudo_domains(const std::vector<data::Dataset>& training,
                                         const std::vector<data::Dataset>& judged, int most) {
  std::vector<Part> parts;
  for (const data::Dataset& dataset : judged) {
    const auto source = std::ranges::find(training, dataset.domain, &data::Dataset::domain);
    if (source == training.end()) {
      throw Error("E_DATA", fmt::format("domain {} has no training file", escaped(dataset.domain)),
                  "leave the domain out, or add one");
    }
    std::ranges::move(by_labels(*source, dataset), std::back_inserter(parts));
  }
  while (std::ssize(parts) < most && halve_largest(parts)) {
  }
  std::vector<PseudoDomain> domains = in_turn(std::move(parts), judged);
  require_names(domains);
  if (std::ssize(domains) > most) domains.resize(static_cast<size_t>(most));
  return domains;
}

std::string jsonl(const std::vector<data::Example>& examples) {
  std::string lines;
  for (const data::Example& example : examples)
    lines += to_line({{"text", example.text}, {"label", example.label}}) + "\n";
  return lines;
}

}  // namespace moecollab::scale
