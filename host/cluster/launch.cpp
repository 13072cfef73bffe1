#include "cluster/launch.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <cstring>

#include "base/installation.h"
#include "base/shards.h"
#include "base/strings.h"

namespace moecollab::cluster {
namespace {

// The launchers' names of rank and number of ranks.
constexpr struct {
  const char *rank, *size;
} kNames[] = {{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
              {"PMIX_RANK", "SLURM_STEP_NUM_TASKS"}};

int number(const char* name, const char* value) {
  int result = -1;
  const char* const end = value + std::strlen(value);
  const auto [last, error] = std::from_chars(value, end, result);
  if (error == std::errc() && last == end && result >= 0) return result;
  throw Error("E_DIST",
              fmt::format("{} is \"{}\", expected a whole number", name, escaped(value, 40)),
              "start the ranks with mpirun, or unset it");
}

// A rank alone: the steps of several, with nobody to wait for.
class NoLink final : public Link {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void send(int /*to*/, std::string /*bytes*/) override {}
  std::optional<Delivery> receive() override { return std::nullopt; }
  bool is_idle() const override { return true; }
  void close() override {}
};

std::unique_ptr<Link> open_mpi() {
  const fs::path module = library_folder() / "libmoecollab_mpi.so";
  void* handle = ::dlopen(module.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* reason = ::dlerror();
    throw Error("E_CONFIG",
                fmt::format("ranks need MPI, which cannot be loaded: {}",
                            reason == nullptr ? "no reason given" : reason),
                "install libopenmpi-dev and openmpi-bin (Open MPI 4.1) and build again "
                "(`make build`), or start one process without mpirun");
  }
  using Entry = Link* (*)();
  const auto entry = reinterpret_cast<Entry>(::dlsym(handle, "moecollab_open_mpi"));
  if (entry == nullptr)
    throw Error("E_CONFIG", fmt::format("{} is not this program's", module.string()),
                "run `make build`");
  return std::unique_ptr<Link>(entry());
}

}  // namespace

std::optional<Launched> launched() {
  for (const auto& names : kNames) {
    const char* const rank = std::getenv(names.rank);
    const char* const size = std::getenv(names.size);
    if (rank == nullptr || size == nullptr) continue;
    const Launched found{number(names.rank, rank), number(names.size, size)};
    if (found.rank < found.size) return found;
    throw Error(
        "E_DIST",
        fmt::format("{} is {}, but {} is {}", names.rank, found.rank, names.size, found.size),
        "start the ranks with mpirun, or unset both");
  }
  return std::nullopt;
}

int unconnected() {
  if (launched()) return 1;
  for (const char* const name : {"SLURM_STEP_NUM_TASKS", "PMI_SIZE"})
    if (const char* const size = std::getenv(name)) return number(name, size);
  return 1;
}

std::unique_ptr<Team> open_team(const Launched& launched, TeamOptions options) {
  if (launched.size > kShards) {
    throw Error(
        "E_CONFIG",
        fmt::format("{} ranks were started, and work comes in {} shards", launched.size, kShards),
        fmt::format("start {} ranks at most (mpirun -n {}), with more threads each", kShards,
                    kShards));
  }
  if (launched.size == 1)
    return std::make_unique<Team>([] { return std::make_unique<NoLink>(); }, std::move(options));
  auto team = std::make_unique<Team>(&open_mpi, std::move(options));
  if (team->size() == launched.size) return team;
  throw Error(
      "E_DIST",
      fmt::format("the launcher started {} ranks, the MPI knows of {}", launched.size,
                  team->size()),
      "use the mpirun of the Open MPI that this program was built with (`mpirun --version`)");
}

}  // namespace moecollab::cluster
