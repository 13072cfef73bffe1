// The hostile zoo: what each attack does to a host without a sandbox, and what becomes of it in an
// expert's process. tests/zoo/hostile/attacks.txt is the table.
#include <arpa/inet.h>
#include <fenv.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <sstream>

#include "base/file_lock.h"
#include "base/subprocess.h"
#include "unit/worker/plain_client.h"

namespace moecollab::worker {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

const fs::path kZoo = MOECOLLAB_HOSTILE_ZOO;  // the libraries, and the folder of canaries
const std::vector<std::string> kTexts = {"red apple", "a plain text", "why?"};

struct Attack {
  std::string name, when, control, sandbox, detail;
  std::string id() const { return name + "_at_" + when; }
  fs::path library() const { return kZoo / ("libhostile_" + id() + ".so"); }
};

std::vector<Attack> attacks() {
  std::ifstream file(fs::path(MOECOLLAB_SOURCE_DIR) / "tests/zoo/hostile/attacks.txt");
  std::vector<Attack> all;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    Attack attack;
    words >> attack.name >> attack.when >> attack.control >> attack.sandbox >> std::ws;
    std::getline(words, attack.detail);
    if (attack.detail == "-") attack.detail.clear();
    all.push_back(attack);
  }
  return all;
}

// What attacks reach for: a file, a port that is listened to, and a secret of the environment.
class Bait {
 public:
  Bait()
      : held_(FileLock::wait(kZoo / "bait.lock", Log())),
        socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    fs::remove_all(folder());
    fs::create_directories(folder());
    std::ofstream(folder() / "canary") << kCanary;
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(socket_, reinterpret_cast<sockaddr*>(&at), sizeof at);
    ::listen(socket_, 8);
    socklen_t size = sizeof at;
    ::getsockname(socket_, reinterpret_cast<sockaddr*>(&at), &size);
    std::ofstream(folder() / "port") << ntohs(at.sin_port);
    ::setenv("HOSTILE_SECRET", "1", 1);
  }
  ~Bait() {
    ::close(socket_);
    fs::remove_all(folder());
  }
  static fs::path folder() { return kZoo / "bait"; }
  // As it was left.
  static void expect_untouched() {
    EXPECT_EQ(read_file(folder() / "canary", "E_TEST"), kCanary);
    EXPECT_EQ(std::distance(fs::directory_iterator(folder()), fs::directory_iterator()), 2);
    EXPECT_EQ(fs::status(folder() / "canary").permissions() & fs::perms::others_write,
              fs::perms::none);
  }

 private:
  static constexpr const char* kCanary = "not to be touched";
  FileLock held_;  // attacks know this one folder only
  int socket_;
};

// What this process has.
uint64_t resident_bytes() {
  uint64_t all = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return resident * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

ProcessLimits limits(milliseconds call = milliseconds(8000)) {
  ProcessLimits limits;
  limits.call = call;
  limits.memory = uint64_t{128} << 20;
  return limits;
}

struct Hostile : ::testing::TestWithParam<Attack> {
  Bait bait;
};

// An attack that has no effect on a bare host would prove nothing of the sandbox.
TEST_P(Hostile, StrikesAHostWithoutASandbox) {
  const std::string outcome =
      run_program(kZoo / "hostile_control", {GetParam().library().string()}).output;
  if (outcome == "no namespaces\n") GTEST_SKIP() << "this system gives no user namespaces";
  const std::map<std::string, std::string> expected = {
      {"strikes", "struck\n"}, {"ends", "ended\n"}, {"hangs", "hung\n"}};
  EXPECT_EQ(outcome, expected.at(GetParam().control));
}

// Rows of docs/reliability.md.
TEST_P(Hostile, HurtsOnlyItself) {
  const Attack& attack = GetParam();
  static const SandboxLevel level = granted_sandbox();
  const bool by_landlock = attack.name == "reads_a_file" && attack.when == "load";
  if (level == SandboxLevel::kNone || (by_landlock && level != SandboxLevel::kFull))
    GTEST_SKIP() << "this system grants the sandbox \"" << name(level) << "\"";
  PlainClient other(kZoo / "libhostile_is_peaceful_at_forward.so", limits());
  const std::vector<float> before = other.answers(kTexts);
  const uint64_t memory = resident_bytes();
  const milliseconds allowed(attack.control == "hangs" ? 400 : 8000);
  std::string cause, denied;
  bool struck = false;
  try {
    ProcessLimits own = limits(allowed);
    // AddressSanitizer takes a megabyte per thread: it would run out before threads are counted.
    if (attack.name == "fills_the_process_with_threads") own.memory = uint64_t{1} << 30;
    PlainClient client(attack.library(), own);
    struck = client.answers({"a text"})[1] == 1;
    denied = client.process.take_denied();
  } catch (const ProcessEnded& ended) {
    EXPECT_EQ(ended.ending().phase, attack.when == "load" ? "load" : "forward");
    EXPECT_THAT(ended.what(), HasSubstr("expert hostile: its process "));
    cause = ended.ending().cause;
  }
  if (attack.sandbox == "ends") {
    EXPECT_THAT(cause, HasSubstr(attack.detail));
    EXPECT_NE(cause, "");
  } else {
    EXPECT_EQ(cause, "");
    EXPECT_EQ(struck, attack.sandbox == "harmless");
    EXPECT_EQ(denied, attack.detail);
  }
  EXPECT_EQ(other.answers(kTexts), before);
  EXPECT_EQ(::fegetround(), FE_TONEAREST);
  struct sigaction action {};
  ::sigaction(SIGINT, nullptr, &action);
  EXPECT_EQ(action.sa_handler, SIG_DFL);
  EXPECT_STREQ(::getenv("HOSTILE_SECRET"), "1");
  EXPECT_LT(resident_bytes(), memory + (uint64_t{64} << 20));
  Bait::expect_untouched();
}

INSTANTIATE_TEST_SUITE_P(Zoo, Hostile, ::testing::ValuesIn(attacks()),
                         [](const auto& attack) { return attack.param.id(); });

TEST(HostileZoo, HasThirtyAttacksAndMore) { EXPECT_GE(attacks().size(), 30U); }

}  // namespace
}  // namespace moecollab::worker
