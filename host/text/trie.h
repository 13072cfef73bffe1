// A map from byte strings to small numbers that finds the longest key a text starts with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace moecollab::text {

// A trie over bytes in one array: the child of a node by byte b is the cell at its `children` + b,
// if that cell's label is b. No two nodes have the same `children`, so a label belongs to one
// parent only (the double array of J.-I. Aoe, 1989, with labels in place of parents).
//
// Immutable; const members are thread-safe.
class Trie {
 public:
  static constexpr int32_t kAbsent = -1;

  struct Entry {
    std::string_view key;
    int32_t value;  // >= 0
  };
  struct Match {
    int32_t value = kAbsent;
    size_t length = 0;  // in bytes
  };
  using Node = uint32_t;

  // The keys, in any order, have at most 2^30 bytes together; of equal ones the greatest value
  // stays. They may be gone afterwards.
  explicit Trie(std::vector<Entry> entries = {});

  // The number of different keys.
  size_t size() const { return size_; }

  static Node root() { return kRoot; }
  // The node of `key`; from one that no key passes through, everything is absent.
  Node find(std::string_view key) const {
    Node node = kRoot;
    for (size_t i = 0; i < key.size() && node != kNowhere; ++i) node = child(node, key[i]);
    return node;
  }
  // The value of the key that ends at `node`, or kAbsent.
  int32_t value(Node node) const { return cells_[node].value; }

  // The longest start of `text`, not empty, that leads from `node` to the end of a key.
  Match longest(Node node, std::string_view text) const {
    Match match;
    for (size_t i = 0; i < text.size(); ++i) {
      node = child(node, text[i]);
      if (node == kNowhere) break;
      if (cells_[node].value != kAbsent) match = {cells_[node].value, i + 1};
    }
    return match;
  }

 private:
  class Builder;

  static constexpr Node kNowhere = 0;
  static constexpr Node kRoot = 256;

  struct Cell {
    Node children = 0;  // of a node without any: the cells from 0 to 255 are nobody's
    int32_t value = kAbsent;
    uint8_t label = 0;
  };

  Node child(Node node, char byte) const {
    const auto label = static_cast<uint8_t>(byte);
    const Node next = cells_[node].children + label;
    return cells_[next].label == label ? next : kNowhere;
  }

  std::vector<Cell> cells_;
  size_t size_ = 0;
};

}  // namespace moecollab::text
