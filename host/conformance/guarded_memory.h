// Memory that tells where a library wrote that it may not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace moecollab::conformance {

// Bytes between two pages that nobody may touch, aligned and ending as near to the second as that
// allows; the rest of the pages in between is filled with a pattern. Registered for
// describe_address() while it lives.
class GuardedMemory {
 public:
  // `at_the_start`: right after the first of them instead.
  GuardedMemory(std::string name, size_t size, size_t alignment = 64, bool at_the_start = false);
  ~GuardedMemory();
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  void* data() const { return data_; }
  size_t size() const { return size_; }
  // From now on a write is a fault.
  void make_read_only();
  // From now on every access is a fault: what was lent is back. It holds nothing any more.
  void take_back();
  // What was written outside the bytes, between them and the guard pages; "" if nothing.
  std::string outside() const;

 private:
  friend std::string describe_address(const void* address);
  std::string name_;
  size_t size_, span_;  // span_: of the pages between the guards
  unsigned char* pages_;
  unsigned char* data_;
  bool read_only_ = false, taken_back_ = false;
};

// Where an address lies relative to the living GuardedMemory ("8 bytes past the end of logits",
// "inside the read-only pooled[0]"); "" for an address near none. Called from a signal handler of
// the process that is about to end.
std::string describe_address(const void* address);

}  // namespace moecollab::conformance
