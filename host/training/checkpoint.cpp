#include "training/checkpoint.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/digest.h"
#include "base/error.h"
#include "base/strings.h"
#include "encoder/tensor_io.h"

namespace moecollab::training {
namespace {

constexpr const char* kLock = "lock";
constexpr const char* kFacts = "facts";      // metadata: JSON
constexpr const char* kContent = "content";  // metadata: digest of facts and tensors

// Digest of facts, names and values, in the order of the names.
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

// Throws E_CKPT unless it is what its digest says.
CheckpointState state_of(const weights::Safetensors& file) {
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
}

// A state as a file holds it; the tensors are borrowed.
struct FileContents {
  explicit FileContents(const CheckpointState& state) {
    for (const auto& [name, tensor] : state.tensors)
      sources.push_back(encoder::source_of(name, tensor));
    const std::string facts = to_line(state.facts);
    metadata = {{kFacts, facts}, {kContent, content_digest(facts, sources)}};
  }

  std::vector<weights::TensorSource> sources;
  std::map<std::string, std::string> metadata;
};

// One slot's content; nullopt if there is none or it is damaged.
std::optional<CheckpointState> read_slot(const fs::path& path, Log log) {
  if (!fs::exists(path)) return std::nullopt;
  try {
    return state_of(weights::Safetensors::open(path));
  } catch (const std::exception& error) {
    log.warning(fmt::format("checkpoint {} is damaged ({}); the one before it counts",
                            escaped(path.string()), error.what()));
    return std::nullopt;
  }
}

FileLock claim(const fs::path& folder) {
  make_folder(folder);
  return FileLock::claim(folder / kLock, "wait until it has ended, or stop it");
}

// A setting as a message shows it; of a digest the first digits.
std::string value_text(const Json& settings, const std::string& pointer) {
  constexpr size_t kDigest = 64, kShown = 12;
  if (!settings.contains(pointer)) return "nothing";
  const Json& value = settings[pointer];
  if (value.is_string() && value.get<std::string>().size() == kDigest)
    return value.get<std::string>().substr(0, kShown);
  return escaped(to_line(value), 60);
}

// "recipe.lr is 0.001 there, 0.002 here" for each setting that differs, up to three of them.
std::string differences(const Json& there, const Json& here) {
  constexpr size_t kMost = 3;
  const Json old_settings = there.flatten(), settings = here.flatten();
  Json all = old_settings;
  all.update(settings);
  std::vector<std::string> found;
  for (const auto& [pointer, value] : all.items()) {
    const std::string old_value = value_text(old_settings, pointer);
    if (old_settings.value(pointer, Json()) == settings.value(pointer, Json())) continue;
    std::string name = pointer.substr(std::min<size_t>(1, pointer.size()));
    std::ranges::replace(name, '/', '.');
    found.push_back(fmt::format("{} is {} there, {} here", escaped(name, 80), old_value,
                                value_text(settings, pointer)));
  }
  const size_t more = found.size() - std::min(kMost, found.size());
  found.resize(found.size() - more);
  return fmt::format("{}{}", fmt::join(found, "; "),
                     more == 0 ? "" : fmt::format("; and {} more", more));
}

// Empties the folder but for the lock.
void clear(const fs::path& folder) {
  std::error_code ignored;
  std::vector<fs::path> all;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) all.push_back(entry.path());
  for (const fs::path& path : all) {
    if (path.filename() != kLock) fs::remove_all(path, ignored);
  }
}

}  // namespace

std::optional<CheckpointState> share_checkpoint(Ranks& ranks,
                                                const std::optional<CheckpointState>& found) {
  if (!are_several(&ranks)) return found;
  constexpr const char* kName = "the first rank's checkpoint";
  std::string own;
  if (ranks.leads() && found) {
    const FileContents file(*found);
    own = weights::safetensors_bytes(kName, file.sources, file.metadata);
  }
  std::string bytes = std::move(ranks.exchange("checkpoint", std::move(own)).front());
  if (ranks.leads() || bytes.empty()) return found;
  return state_of(weights::Safetensors::from_bytes(std::move(bytes), kName));
}

void require_same_run(const fs::path& folder, const Json& unfinished, const Json& run) {
  if (unfinished == run) return;
  const bool named = unfinished.is_object() && run.is_object();
  const auto shards = [](const Json& of) { return of.is_object() ? of.value("shards", 0) : 0; };
  throw Error(
      "E_CKPT",
      fmt::format("{} holds an unfinished run that differs from this one: {}",
                  escaped(folder.string()),
                  named ? differences(unfinished, run) : "it is of another version"),
      shards(unfinished) == shards(run)
          ? "give the options of that run, or start again without --resume"
          : "`shards` are those of ranks: start this with mpirun if that was, else without; or "
            "start again without --resume");
}

Checkpoints::Checkpoints(fs::path folder, Json run, bool resume)
    : folder_(std::move(folder)), run_(std::move(run)), lock_(claim(folder_)) {
  if (!resume) clear(folder_);
}

fs::path Checkpoints::slot(int64_t sequence) const {
  return folder_ / fmt::format("{}.safetensors", sequence % 2);
}

std::optional<CheckpointState> Checkpoints::load(Log log) {
  std::optional<CheckpointState> newest;
  for (const int64_t i : {0, 1}) {
    std::optional<CheckpointState> state = read_slot(slot(i), log);
    if (!state) continue;
    if (!newest ||
        state->facts["sequence"].get<int64_t>() > newest->facts["sequence"].get<int64_t>()) {
      newest = std::move(state);
    }
  }
  if (!newest) return std::nullopt;
  require_same_run(folder_, newest->facts["run"], run_);
  sequence_ = newest->facts["sequence"].get<int64_t>() + 1;
  return newest;
}

void Checkpoints::save(const CheckpointState& state) {
  CheckpointState whole = state;
  whole.facts["run"] = run_;
  whole.facts["sequence"] = sequence_;
  const FileContents file(whole);
  weights::write_safetensors(slot(sequence_), file.sources, file.metadata);
  ++sequence_;
}

void Checkpoints::finish() {
  const fs::path gone = folder_.parent_path() / ("." + folder_.filename().string());
  try {
    for (const int64_t i : {0, 1}) fs::remove(slot(i));
    fs::remove_all(gone);  // of a run that was killed in here
    fs::rename(folder_, gone);
    fs::remove_all(gone);
  } catch (const fs::filesystem_error& error) {
    throw Error("E_WRITE", fmt::format("{} cannot be removed: {}", escaped(folder_.string()),
                                       error.code().message()));
  }
}

}  // namespace moecollab::training
