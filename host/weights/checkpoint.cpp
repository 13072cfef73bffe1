#include "weights/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/digest.h"
#include "base/error.h"
#include "base/git_lfs.h"
#include "base/json.h"
#include "base/strings.h"
#include "weights/refusal.h"

namespace moecollab::weights {
namespace {

constexpr char kIndexCode[] = "E_ST_INDEX";
constexpr char kPointerCode[] = "E_ST_GIT_LFS";
constexpr uint64_t kMaxIndexBytes = uint64_t{64} << 20;
constexpr int kMaxIndexDepth = 8;
constexpr char kIndexHint[] = "fetch the index and its shards again, all from the same model";

[[noreturn]] void refuse_index(std::string_view file, std::string_view what) {
  refuse(file, kIndexCode, what, kIndexHint);
}

// Whether it names a file beside the index, and nothing else that the system could understand.
bool is_plain_file_name(std::string_view name) {
  return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
         std::ranges::none_of(name, [](unsigned char c) { return c == '/' || c < ' '; });
}

bool lies_there(const fs::path& file) {
  std::error_code ignored;
  return fs::symlink_status(file, ignored).type() != fs::file_type::not_found;
}

void require_shards(const CheckpointIndex& index, const fs::path& folder,
                    const std::string& index_file) {
  std::set<std::string> seen;
  for (const auto& [tensor, shard] : index.shard_of) {
    if (!seen.insert(shard).second) continue;
    std::error_code none;
    const fs::path path = folder / shard;
    if (fs::is_regular_file(path, none)) continue;
    const fs::path target = fs::read_symlink(path, none);
    const std::string state =
        !none              ? fmt::format("a link to {}, which is no file", moecollab::shown(target))
        : lies_there(path) ? std::string("not a regular file")
                           : std::string("missing");
    refuse_index(index_file, fmt::format("tensor `{}` lies in {}, which is {}", shown(tensor),
                                         escaped(shard), state));
  }
}

// Takes the entries of weight_map as they pass by: kept as JSON, each would be compared with all
// before it.
class IndexReader {
 public:
  IndexReader(const std::string& file, const ReadLimits& limits) : file_(file), limits_(limits) {}

  CheckpointIndex read(std::string_view bytes) {
    const auto filter = [this](int depth, Json::parse_event_t event, const Json& value) {
      return keep(depth, event, value);
    };
    try {
      [[maybe_unused]] const Json nothing = Json::parse(bytes, filter);
    } catch (const Json::exception& error) {
      refuse_index(file_, fmt::format("not JSON: {}", escaped(error.what(), 160)));
    }
    if (index_.shard_of.empty()) {
      refuse_index(file_, "`weight_map`, an object with the shard of each tensor, names none");
    }
    return std::move(index_);
  }

 private:
  // nlohmann's filter: containers are entered, nothing is kept. `depth` counts the containers
  // around.
  bool keep(int depth, Json::parse_event_t event, const Json& value) {
    using Event = Json::parse_event_t;
    if (depth > kMaxIndexDepth) {
      refuse_index(file_, fmt::format("nested deeper than {} levels", kMaxIndexDepth));
    }
    if (event == Event::key) {
      if (depth == 1) section_ = value.get_ref<const std::string&>();
      if (depth == 2) tensor_ = value.get_ref<const std::string&>();
    } else if (section_ == "weight_map") {
      if (depth == 1 && event == Event::array_start) refuse_index(file_, "`weight_map` is a list");
      if (depth == 2) add(value);
    }
    return event == Event::object_start || event == Event::array_start;
  }

  void add(const Json& shard) {
    if (!shard.is_string() || !is_plain_file_name(shard.get_ref<const std::string&>())) {
      const bool is_value = shard.is_primitive() && !shard.is_discarded();
      refuse_index(file_,
                   fmt::format("tensor `{}` lies in {}, which is no name of a file beside it",
                               shown(tensor_), is_value ? escaped(to_line(shard), 80) : "a list"));
    }
    if (!index_.shard_of.emplace(tensor_, shard.get<std::string>()).second) {
      refuse_index(file_, fmt::format("tensor `{}` stands twice", shown(tensor_)));
    }
    if (index_.shard_of.size() > limits_.max_tensors) {
      refuse_index(file_, fmt::format("`weight_map` names more than the {} tensors allowed",
                                      limits_.max_tensors));
    }
  }

  const std::string& file_;
  const ReadLimits& limits_;
  std::string section_;  // the key of the document that is being read
  std::string tensor_;   // the key below it
  CheckpointIndex index_;
};

}  // namespace

std::set<std::string> CheckpointIndex::shards() const {
  std::set<std::string> names;
  for (const auto& [tensor, shard] : shard_of) names.insert(shard);
  return names;
}

CheckpointIndex parse_checkpoint_index(std::string_view bytes, const std::string& file,
                                       const ReadLimits& limits) {
  IndexReader reader(file, limits);
  return reader.read(bytes);
}

fs::path CheckpointFiles::file() const {
  return folder / (index ? kCheckpointIndexFile : kCheckpointFile);
}

std::string CheckpointFiles::sha256() const {
  if (!index) return file_sha256_hex(file(), "E_ENCODER");
  std::string lines;
  for (const std::string& shard : index->shards()) {
    lines += fmt::format("{} {}\n", shard, file_sha256_hex(folder / shard, "E_ENCODER"));
  }
  return sha256_hex(lines);
}

std::optional<CheckpointFiles> find_checkpoint(const fs::path& folder) {
  if (lies_there(folder / kCheckpointFile)) {
    refuse_lfs_pointer(folder / kCheckpointFile, kPointerCode);
    return CheckpointFiles{folder, std::nullopt};
  }
  const fs::path file = folder / kCheckpointIndexFile;
  if (!lies_there(file)) return std::nullopt;
  refuse_lfs_pointer(file, kPointerCode);
  CheckpointIndex index =
      parse_checkpoint_index(read_file(file, "E_ST_IO", kMaxIndexBytes), file.string());
  require_shards(index, folder, file.string());
  for (const std::string& shard : index.shards()) refuse_lfs_pointer(folder / shard, kPointerCode);
  return CheckpointFiles{folder, std::move(index)};
}

Checkpoint Checkpoint::open(const CheckpointFiles& files, const ReadLimits& limits) {
  Checkpoint checkpoint;
  if (files.index) {
    for (const std::string& shard : files.index->shards()) {
      checkpoint.files_.push_back(Safetensors::open(files.folder / shard, limits));
    }
    checkpoint.check_against(*files.index, files);
  } else {
    checkpoint.files_.push_back(Safetensors::open(files.file(), limits));
  }
  for (const Safetensors& file : checkpoint.files_) {
    checkpoint.tensors_.insert(checkpoint.tensors_.end(), file.tensors().begin(),
                               file.tensors().end());
  }
  std::ranges::sort(checkpoint.tensors_, {}, &TensorView::name);
  return checkpoint;
}

void Checkpoint::check_against(const CheckpointIndex& index, const CheckpointFiles& files) const {
  const std::string index_file = files.file().string();
  std::map<std::string, const Safetensors*> opened;
  for (const Safetensors& file : files_) opened[fs::path(file.file()).filename()] = &file;
  for (const auto& [tensor, shard] : index.shard_of) {
    if (opened.at(shard)->find(tensor) == nullptr) {
      refuse_index(index_file, fmt::format("tensor `{}` is not in {}, where the index looks for it",
                                           shown(tensor), escaped(shard)));
    }
  }
  for (const auto& [shard, file] : opened) {
    for (const TensorView& view : file->tensors()) {
      const auto entry = index.shard_of.find(std::string(view.name));
      if (entry != index.shard_of.end() && entry->second == shard) continue;
      refuse_index(index_file,
                   fmt::format("{} holds tensor `{}`, which the index looks for {}", escaped(shard),
                               shown(view.name),
                               entry == index.shard_of.end() ? std::string("nowhere")
                                                             : "in " + escaped(entry->second)));
    }
  }
}

}  // namespace moecollab::weights
