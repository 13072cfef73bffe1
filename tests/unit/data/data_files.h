// What the tests of the data stage share: files with given bytes, and refusals as values.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/files.h"

namespace moecollab::data {

class DataFiles : public ::testing::Test {
 protected:
  fs::path write(const fs::path& name, std::string_view bytes) const {
    const fs::path path = folder() / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  const fs::path& folder() const { return folder_.path(); }

 private:
  TemporaryFolder folder_{"data_test"};
};

// The Error that `action` throws; nothing, and a failed test, if it throws none.
template <typename Action>
Error refusal_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "accepted, a refusal was expected";
  return Error("", "");
}

template <typename Action>
void expect_refused(Action&& action, const std::string& code, const std::string& part) {
  const Error error = refusal_of(action);
  EXPECT_EQ(error.code(), code) << error.what();
  EXPECT_THAT(error.what(), ::testing::HasSubstr(part));
}

}  // namespace moecollab::data
