#include "text/trie.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <span>

namespace moecollab::text {

// Places node after node, depth first, each one's children where all of them find vacant cells.
class Trie::Builder {
 public:
  explicit Builder(std::vector<Entry> entries) : entries_(std::move(entries)) {
    size_t bytes = 0;
    for (const Entry& entry : entries_) bytes += entry.key.size();
    grow(kRoot + static_cast<Node>(bytes / kBytesPerNode));
    taken_[kRoot] = true;
    is_base_[kRoot] = true;  // else its child by byte 0 would be the root
    pending_.push_back({kRoot, 0, 0, static_cast<uint32_t>(entries_.size()), 0});
  }

  void build(Trie* trie) {
    while (!pending_.empty()) {
      const Pending node = pending_.back();
      pending_.pop_back();
      find_children(node);
      if (!children_.empty()) place_children(node);
    }
    cells_.resize(end_);
    cells_.shrink_to_fit();
    trie->cells_ = std::move(cells_);
    trie->size_ = size_;
  }

 private:
  // A node stands for the first `depth` bytes, the last being `label`, of the entries from `begin`
  // to `end`.
  struct Pending {
    Node node;
    uint8_t label;
    uint32_t begin, end, depth;
  };

  static constexpr Node kBytes = 256;
  // What BERT's vocabulary has; a guess for room.
  static constexpr size_t kBytesPerNode = 3;
  // Sorting fewer entries is quicker by comparing than by counting.
  static constexpr size_t kFew = 64;
  // A search begins at most so many cells before the end of the one before: more would fill a few
  // cells more, and take longer.
  static constexpr Node kWindow = 64;

  uint8_t byte_at(size_t entry, size_t depth) const {
    return static_cast<uint8_t>(entries_[entry].key[depth]);
  }

  // Makes room for children of the bases up to `base`.
  void grow(Node base) {
    cells_.resize(base + kBytes);
    taken_.resize(base + kBytes);
    is_base_.resize(base + kBytes);
  }

  // Parts the entries of a node, whose value is that of the keys that end there, by the next byte.
  void find_children(const Pending& parent) {
    uint32_t begin = parent.begin;
    int32_t& value = cells_[parent.node].value;
    for (uint32_t i = begin; i < parent.end; ++i) {
      if (entries_[i].key.size() > parent.depth) continue;
      value = std::max(value, entries_[i].value);
      std::swap(entries_[begin++], entries_[i]);
    }
    if (value != kAbsent) ++size_;
    if (parent.end - begin > 1) sort(begin, parent.end, parent.depth);
    children_.clear();
    for (uint32_t i = begin; i < parent.end; ++i) {
      const uint8_t label = byte_at(i, parent.depth);
      if (children_.empty() || children_.back().label != label) {
        children_.push_back({0, label, i, i, parent.depth + 1});
      }
      ++children_.back().end;
    }
  }

  // By the byte at `depth`.
  void sort(size_t begin, size_t end, size_t depth) {
    const std::span<Entry> entries = std::span(entries_).subspan(begin, end - begin);
    const auto byte = [depth](const Entry& entry) {
      return static_cast<uint8_t>(entry.key[depth]);
    };
    if (entries.size() < kFew) {
      std::ranges::sort(entries, {}, byte);
      return;
    }
    std::array<size_t, kBytes + 1> starts = {};
    for (const Entry& entry : entries) ++starts[byte(entry) + 1u];
    std::partial_sum(starts.begin(), starts.end(), starts.begin());
    unsorted_.assign(entries.begin(), entries.end());
    for (const Entry& entry : unsorted_) entries[starts[byte(entry)]++] = entry;
  }

  void place_children(const Pending& parent) {
    const Node base = find_base();
    cells_[parent.node].children = base;
    is_base_[base] = true;
    end_ = std::max(end_, base + kBytes);
    for (Pending& child : children_) {
      child.node = base + child.label;
      cells_[child.node].label = child.label;
      taken_[child.node] = true;
      pending_.push_back(child);
    }
  }

  // The first cells that the children can have.
  Node find_base() {
    while (taken_[from_]) ++from_;
    Node cell = from_;
    while (taken_[cell] || !fits(cell - children_.front().label)) ++cell;
    if (cell > from_ + kWindow) from_ = cell - kWindow;
    return cell - children_.front().label;
  }

  bool fits(Node base) {
    if (base + 2 * kBytes > cells_.size()) grow(base + base / 2 + kBytes);
    return !is_base_[base] && std::ranges::none_of(children_, [&](const Pending& child) {
      return taken_[base + child.label];
    });
  }

  std::vector<Entry> entries_, unsorted_;
  std::vector<Pending> pending_;   // nodes with a cell, but without their children yet
  std::vector<Pending> children_;  // those of the node that is visited, by label
  std::vector<Cell> cells_;
  std::vector<char> taken_, is_base_;  // by cell: whether it is a node, and some node's `children`
  Node end_ = kRoot + kBytes;          // past every cell that a search may look at
  Node from_ = kRoot;                  // no search looks before
  size_t size_ = 0;
};

Trie::Trie(std::vector<Entry> entries) { Builder(std::move(entries)).build(this); }

}  // namespace moecollab::text
