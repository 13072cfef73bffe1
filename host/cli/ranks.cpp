#include "cli/ranks.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <thread>

#include "base/digest.h"
#include "base/installation.h"
#include "base/measure.h"
#include "base/strings.h"
#include "base/version.h"
#include "cli/cli.h"
#include "cluster/handshake.h"
#include "cluster/launch.h"

namespace moecollab::cli {
namespace {

// Two builds of one version may differ too.
std::string this_build() {
  const auto digest = [](const fs::path& file) {
    return file_sha256_or_none(file, "E_DIST").substr(0, 16);
  };
  return fmt::format("{} {} {}", kVersion, digest("/proc/self/exe"),
                     digest(library_folder() / "libmoecollab_engine.so"));
}

// Whether somebody has read what was written into this pipe; of what is no pipe it is not known.
bool is_read(int fd) {
  int left = 0;
  return ::ioctl(fd, FIONREAD, &left) != 0 || left == 0;
}

// mpirun drops what it has not taken when the job ends. An MPI whose ranks are not all there cannot
// be closed, and its threads may not outlive what they use: nothing is taken apart.
[[noreturn]] void leave_process(int status) {
  const Stopwatch watch;
  const auto wait = [] { std::this_thread::sleep_for(std::chrono::milliseconds(50)); };
  do {
    wait();
  } while (watch.seconds() < 3 && !(is_read(STDOUT_FILENO) && is_read(STDERR_FILENO)));
  wait();
  ::_exit(status);
}

std::vector<std::string> shared_verbs(const Program& program) {
  std::vector<std::string> names;
  for (const CLI::App* verb : program.shared_verbs) names.push_back(verb->get_name());
  return names;
}

}  // namespace

void join_ranks(Program& program, const CLI::App& verb) {
  const std::optional<cluster::Launched> launched = cluster::launched();
  const bool shared = std::ranges::count(program.shared_verbs, &verb) > 0;
  if (const int tasks = cluster::unconnected(); shared && tasks > 1) {
    program.context().log.warning(
        fmt::format("{} processes were started that no MPI connects: each does all of the work, "
                    "and they write the same files",
                    tasks),
        "start ranks with mpirun of Open MPI, or with srun --mpi=pmix");
  }
  if (!launched) return;
  if (launched->size == 1 && !shared) return;
  if (!shared) {
    throw Error(
        "E_CONFIG",
        fmt::format("{} runs on one rank, {} were started", full_name(verb), launched->size),
        fmt::format("start it without mpirun; verbs that share their work are {}",
                    join(shared_verbs(program), ", ")));
  }
  // mpirun ends all ranks by SIGTERM, also while they meet.
  catch_interrupts();
  cluster::TeamOptions options;
  options.timeout = program.rank_timeout;
  options.stop = interrupt_token();
  options.on_loss = request_stop;
  options.end = [&program](const Error& error) {
    report(error, program.json && program.leads());
    leave_process(exit_status(error.code()));
  };
  program.ranks = cluster::open_team(*launched, std::move(options));
  cluster::require_equal(*program.ranks, "command",
                         {{"build", this_build()}, {"command", program.command}});
}

void leave_ranks(Program& program, int status) {
  if (!program.ranks || program.ranks->finish()) return;
  leave_process(flush_stdout() ? status : exit_status("E_WRITE"));
}

int end_with(Program& program, const Error& error) {
  Error reported = error;
  if (program.ranks && error.code() == "E_INTERRUPTED") {
    if (const std::optional<Error> loss = program.ranks->loss()) reported = *loss;
  }
  if (program.ranks) program.ranks->leave(reported);
  report(reported, program.json && program.leads());
  const int status =
      reported.code() == "E_INTERRUPTED" ? interrupted_status() : exit_status(reported.code());
  if (are_several(program.ranks.get())) leave_process(status);
  return status;
}

}  // namespace moecollab::cli
