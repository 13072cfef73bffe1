// Small safetensors files made by hand, and checks that a refusal is the right one.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <string_view>

#include "base/error.h"
#include "weights/safetensors.h"

namespace moecollab::weights {

inline std::string with_length(uint64_t length, std::string_view rest) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes.append(rest);
}

// A file with this header and this many bytes of buffer: 0, 1, 2, …
inline std::string file_of(std::string_view header, size_t buffer = 0) {
  std::string bytes = with_length(header.size(), header);
  for (size_t i = 0; i < buffer; ++i) bytes += static_cast<char>(i);
  return bytes;
}

inline Safetensors read(std::string bytes, const ReadLimits& limits = {}) {
  return Safetensors::from_bytes(std::move(bytes), "test.safetensors", limits);
}

// Expects that `act` throws an Error with this code, a hint, and a message with `text` in it.
template <typename Act>
void expect_refusal(Act act, const std::string& code, const std::string& text) {
  try {
    act();
    ADD_FAILURE() << "not refused with " << code;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_THAT(error.what(), testing::HasSubstr(text));
    EXPECT_FALSE(error.hint().empty());
  }
}

// The same for a file, whose name the message must begin with.
inline void expect_refused(const std::string& bytes, const std::string& code,
                           const std::string& text, const ReadLimits& limits = {}) {
  SCOPED_TRACE(bytes.substr(0, 120));
  expect_refusal([&] { read(bytes, limits); }, code, text);
  expect_refusal([&] { read(bytes, limits); }, code, "test.safetensors: ");
}

}  // namespace moecollab::weights
