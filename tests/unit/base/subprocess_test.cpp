// Programs that are run and waited for.
#include "base/subprocess.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace moecollab {
namespace {

TEST(Subprocess, GivesOutputAndStatus) {
  const Finished finished = run_program("/bin/sh", {"-c", "cat; echo \"$1\"; exit 3", "sh", "a b"});
  EXPECT_EQ(finished.status, 3);
  EXPECT_EQ(finished.output, "a b\n") << "nothing to read, and arguments as they are";
}

TEST(Subprocess, ASignalIsAStatusOfItsOwn) {
  EXPECT_EQ(run_program("/bin/sh", {"-c", "kill -9 $$"}).status, 128 + 9);
}

TEST(Subprocess, MuchOutputIsCutAndDoesNotBlock) {
  const Finished finished =
      run_program("/bin/sh", {"-c", "head -c 80000000 /dev/zero; echo >&2 -n ''"});
  EXPECT_EQ(finished.status, 0);
  EXPECT_GE(finished.output.size(), kMaxOutput);
  EXPECT_LT(finished.output.size(), size_t{80000000});
}

TEST(Subprocess, AProgramThatIsNotThereIsNamed) {
  try {
    run_program("/nowhere/program", {});
    ADD_FAILURE() << "it was started";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "E_INTERNAL");
    EXPECT_NE(std::string(error.what()).find("/nowhere/program"), std::string::npos);
  }
}

}  // namespace
}  // namespace moecollab
