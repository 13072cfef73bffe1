// What ranks write to each other, as bytes and back.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace moecollab::cluster {

struct Letter {
  enum class Kind {
    kBeat,      // the sender is alive
    kPart,      // a piece of what it gives for a step
    kFarewell,  // it ends with an error
    kGoodbye,   // it has done its work
  };
  Kind kind = Kind::kBeat;
  // kPart: the step, by number and name, and where the piece belongs in how many bytes.
  uint64_t step = 0, offset = 0, total = 0;
  std::string what = {};
  // kFarewell: the rank whose fault it is, and the error.
  int culprit = 0;
  std::string code = {}, message = {}, hint = {};
  std::string bytes = {};  // kPart: the piece
};

std::string to_bytes(const Letter& letter);
// Throws E_DIST saying what is wrong with the bytes, whatever they are.
Letter parse_letter(std::string_view bytes);

}  // namespace moecollab::cluster
