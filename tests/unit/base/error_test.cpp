#include "base/error.h"

#include <gtest/gtest.h>

namespace moecollab {
namespace {

// The table of docs/operating.md.
TEST(ExitStatus, FollowsTheFamily) {
  EXPECT_EQ(exit_status("E_CONFIG"), 2);
  EXPECT_EQ(exit_status("E_DATA_CHANGED"), 3);
  EXPECT_EQ(exit_status("E_REG_SCHEMA"), 4);
  EXPECT_EQ(exit_status("E_ST_INVALID_OFFSET"), 4);
  EXPECT_EQ(exit_status("E_PLUG_DIGEST"), 5);
  EXPECT_EQ(exit_status("E_ELF_CLASS"), 5);
  EXPECT_EQ(exit_status("E_WRITE"), 7);
  EXPECT_EQ(exit_status("E_SOMETHING_NEW"), 1);
}

}  // namespace
}  // namespace moecollab
