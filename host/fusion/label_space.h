// Label spaces, and the union Y of those that the installed experts answer in.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace moecollab::fusion {

// A named, versioned, ordered list of labels. `name` is "emotion/1".
struct LabelSpace {
  std::string name;
  std::vector<std::string> labels;
};

// The two halves of a space's name. A base without a dot ("emotion") belongs to the operator; one
// with a dot is reverse-DNS ("org.example.emotion") and belongs to whoever holds that domain.
struct SpaceName {
  std::string base;
  int version;  // >= 1
  bool reverse_dns;
};

// Splits "base/version": base of letters, digits, '-' and '_' in parts joined by dots, version a
// whole number from 1 without leading zeros, 128 bytes in all. Throws E_DESC_LABELS otherwise.
SpaceName parse_space_name(std::string_view name);

// The union Y: every label of every space has a global id, spaces in order of first appearance and
// labels in the order of their space. Spaces never merge: two of different names that both hold
// "positive" give two ids. Ids are final after the last add(). Not thread-safe while adding.
class LabelUnion {
 public:
  // The global ids [offset, offset + count) of one space.
  struct Range {
    int offset;
    int count;
  };

  // Adds what one expert (or registry.toml) says of a space; returns the space's index.
  //
  // Under a name seen before, the same set of labels is accepted in any order and the first order
  // stays. With `partial`, a subset is accepted too. A space that only partial experts have named
  // so far holds what they named, and takes its labels and their order from the first complete
  // definition. Throws E_DESC_LABELS naming both definitions and the first label they disagree on
  // for anything else; also for a malformed name, an empty list, an empty or a repeated label.
  // `from` says in messages who brings the space ("expert `joyful`").
  int add(const LabelSpace& space, bool partial, std::string_view from = {});

  // Number of labels of all spaces together: |Y|.
  int size() const;
  // Classes of the largest space: the width to which `paper` and `masked` pad (c_max of eq 4).
  int c_max() const;

  const std::vector<LabelSpace>& spaces() const { return spaces_; }
  // Index of the space of that name, or nullopt.
  std::optional<int> find(std::string_view name) const;
  Range range(int space) const;

  // Global id of a label of a space, or nullopt if the space does not hold it.
  std::optional<int> id(int space, std::string_view label) const;
  // Space and label of a global id in [0, size()); std::out_of_range otherwise.
  int space_of(int id) const;
  const std::string& label(int id) const;

  // Where the logits of an expert of that space go: the global id of each of its classes, in the
  // expert's own order. Throws E_DESC_LABELS for a label that the space does not hold.
  std::vector<int> columns(int space, std::span<const std::string> expert_labels) const;

 private:
  struct Origin {
    std::string from;
    bool complete;
  };

  void merge(int index, const LabelSpace& space, bool partial, std::string_view from);
  [[noreturn]] void refuse(int index, const LabelSpace& space, std::string_view from,
                           const std::string& difference) const;

  std::vector<LabelSpace> spaces_;
  std::vector<Origin> origins_;  // of the labels of spaces_[i]
};

}  // namespace moecollab::fusion
