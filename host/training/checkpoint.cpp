#include "training/checkpoint.h"

#include <fmt/format.h>

#include "base/console.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/strings.h"
#include "encoder/tensor_io.h"

namespace moecollab::training {
namespace {

constexpr const char* kGoal = "goal";
constexpr uint64_t kMaxGoal = 256;           // bytes
constexpr const char* kFacts = "facts";      // metadata: JSON
constexpr const char* kContent = "content";  // metadata: digest of facts and tensors

// Of names, shapes and values, in the order of the names.
std::string content_digest(const std::string& facts, const weights::Safetensors& file) {
  std::string digests = facts;
  for (const weights::TensorView& view : file.tensors()) {
    const std::string_view bytes(reinterpret_cast<const char*>(view.data.data()), view.data.size());
    digests += fmt::format("\n{} {}", view.name, sha256_hex(bytes));
  }
  return sha256_hex(digests);
}

std::string content_digest(const std::string& facts,
                           const std::vector<weights::TensorSource>& sources) {
  std::map<std::string, std::string> by_name;
  for (const weights::TensorSource& source : sources) {
    by_name[source.name] =
        to_hex(sha256({reinterpret_cast<const char*>(source.data.data()), source.data.size()}));
  }
  std::string digests = facts;
  for (const auto& [name, digest] : by_name) digests += fmt::format("\n{} {}", name, digest);
  return sha256_hex(digests);
}

// One slot's content; nullopt where there is none or it is damaged.
std::optional<CheckpointState> read_slot(const fs::path& path) {
  if (!fs::exists(path)) return std::nullopt;
  try {
    const auto file = weights::Safetensors::open(path);
    const auto facts = file.metadata().find(kFacts), content = file.metadata().find(kContent);
    if (facts == file.metadata().end() || content == file.metadata().end() ||
        content->second != content_digest(facts->second, file)) {
      throw Error("E_CKPT", "its content is not what its digest says");
    }
    CheckpointState state{parse_json(facts->second), {}};
    for (const weights::TensorView& view : file.tensors()) {
      state.tensors.emplace_back(std::string(view.name), encoder::to_tensor(view));
    }
    return state;
  } catch (const std::exception& error) {
    print_warning(fmt::format("checkpoint {} is damaged ({}); the one before it counts",
                              escaped(path.string()), error.what()));
    return std::nullopt;
  }
}

FileLock claim(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    throw Error("E_WRITE",
                fmt::format("{} cannot be made: {}", escaped(folder.string()), error.message()));
  }
  return FileLock::claim(folder / "lock", "wait for it, or train under another name");
}

}  // namespace

Checkpoints::Checkpoints(fs::path folder, std::string run, const std::string& goal)
    : folder_(std::move(folder)), run_(std::move(run)), lock_(claim(folder_)) {
  write_file_atomic(folder_ / kGoal, goal);
}

fs::path Checkpoints::slot(int64_t sequence) const {
  return folder_ / fmt::format("{}.safetensors", sequence % 2);
}

std::optional<CheckpointState> Checkpoints::load() {
  std::optional<CheckpointState> newest;
  std::string other;  // a run that is not this one
  for (const int64_t i : {0, 1}) {
    std::optional<CheckpointState> state = read_slot(slot(i));
    if (!state) continue;
    if (state->facts["run"] != run_) {
      other = state->facts["run"].get<std::string>();
    } else if (!newest ||
               state->facts["sequence"].get<int64_t>() > newest->facts["sequence"].get<int64_t>()) {
      newest = std::move(state);
    }
  }
  if (newest) {
    sequence_ = newest->facts["sequence"].get<int64_t>() + 1;
    return newest;
  }
  if (other.empty()) return std::nullopt;
  throw Error("E_CKPT",
              fmt::format("{} holds an unfinished run {}, this one is {}: data, options or program "
                          "differ",
                          escaped(folder_.string()), other.substr(0, 12), run_.substr(0, 12)),
              "give the options of that run, or start anew without --resume");
}

void Checkpoints::save(const CheckpointState& state) {
  Json facts = state.facts;
  facts["run"] = run_;
  facts["sequence"] = sequence_;
  std::vector<weights::TensorSource> sources;
  for (const auto& [name, tensor] : state.tensors)
    sources.push_back(encoder::source_of(name, tensor));
  const std::string text = to_line(facts);
  weights::write_safetensors(slot(sequence_), sources,
                             {{kFacts, text}, {kContent, content_digest(text, sources)}});
  ++sequence_;
}

std::optional<std::string> Checkpoints::goal(const fs::path& folder) {
  if (!fs::exists(folder / kGoal)) return std::nullopt;
  return read_file(folder / kGoal, "E_CKPT_READ", kMaxGoal);
}

void Checkpoints::discard(const fs::path& folder) {
  const fs::path gone = folder.parent_path() / ("." + folder.filename().string());
  std::error_code ignored;
  fs::remove_all(gone, ignored);  // of a run that was killed in here
  fs::rename(folder, gone, ignored);
  fs::remove_all(gone, ignored);
}

}  // namespace moecollab::training
