// The parsers of outside bytes, each with a valid file to start from: what libFuzzer and the replay
// in `make test` try.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace moecollab::fuzz {

struct Parser {
  const char* name;
  // A valid input.
  std::string (*seed)();
  // Reads the bytes whole; an Error refuses them.
  void (*parse)(std::string_view bytes);
};

std::span<const Parser> parsers();

// Returns if the bytes are valid or refused; anything else (a crash, an exception that is no Error)
// is a defect.
void try_parser(const Parser& parser, std::string_view bytes);

}  // namespace moecollab::fuzz
