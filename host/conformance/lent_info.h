// What create() is made from, in memory that is the library's for the call only.
#pragma once

#include <moecollab/abi.h>

#include <memory>
#include <string>
#include <vector>

#include "conformance/guarded_memory.h"

namespace moecollab::conformance {

// A copy of an info and of all that it leads to. Read-only, and after take_back() out of reach.
class LentInfo {
 public:
  explicit LentInfo(const moec_create_info& info);
  const moec_create_info& info() const;
  void take_back();

 private:
  template <typename T>
  T* lend(const std::string& name, const T* values, size_t count);
  moec_string lend(const std::string& name, moec_string text);
  const moec_encoder_info* lend_encoder(const moec_encoder_info* encoder);
  void lend_weights(const moec_create_info& from, moec_create_info& to);

  std::vector<std::unique_ptr<GuardedMemory>> parts_;  // the last is the info itself
};

}  // namespace moecollab::conformance
