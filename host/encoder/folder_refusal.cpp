#include "encoder/folder_refusal.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab::encoder {
namespace {

constexpr size_t kMaxEntries = 2000;  // looked at for a message
constexpr size_t kMaxNamed = 5;       // named in one
constexpr int kDeepest = 3;           // as models--ORG--NAME/snapshots/REVISION of the Hub's cache
constexpr const char* kNameHint =
    "name the encoder's folder with --encoder or MOECOLLAB_ENCODER, or as [encoder] path in "
    "registry.toml";
constexpr const char* kFetchHint =
    "fetch the model again, with config.json, model.safetensors, tokenizer.json and "
    "tokenizer_config.json";

[[noreturn]] void refuse_folder(const std::string& what, const std::string& hint) {
  throw Error("E_ENCODER", what, hint);
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (fs::directory_iterator entry(folder, ignored), end;
       entry != end && names.size() < kMaxEntries; entry.increment(ignored)) {
    names.push_back(entry->path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

std::string listed(std::vector<std::string> names) {
  const size_t more = names.size() > kMaxNamed ? names.size() - kMaxNamed : 0;
  names.resize(names.size() - more);
  for (std::string& name : names) name = escaped(name, 80);
  return join(names, ", ") + (more > 0 ? fmt::format(" and {} more", more) : "");
}

// Not every config.json is an encoder's: 1_Pooling/ of sentence-transformers has one too.
bool is_model(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::exists(folder / "config.json", ignored)) return false;
  return std::ranges::any_of(
      std::initializer_list<const char*>{"model.safetensors", "model.safetensors.index.json",
                                         "pytorch_model.bin", "tokenizer.json", "vocab.txt"},
      [&](const char* name) { return fs::exists(folder / name, ignored); });
}

// Folders below, relative to the first, that hold a model.
void find_models(const fs::path& folder, const fs::path& relative, int depth, size_t& looked_at,
                 std::vector<std::string>& found) {
  for (const std::string& name : names_in(folder)) {
    std::error_code ignored;
    if (++looked_at > kMaxEntries || !fs::is_directory(folder / name, ignored)) continue;
    if (is_model(folder / name)) {
      found.push_back((relative / name).string());
    } else if (depth < kDeepest) {
      find_models(folder / name, relative / name, depth + 1, looked_at, found);
    }
  }
}

struct Format {
  std::string_view end;  // of a file's name
  const char* name;
};
constexpr Format kPickles[] = {{".bin", ""}, {".pt", ""}, {".pth", ""}, {".ckpt", ""}};
constexpr Format kOtherFormats[] = {{".onnx", "ONNX"},
                                    {".gguf", "GGUF"},
                                    {".h5", "TensorFlow"},
                                    {".pb", "TensorFlow"},
                                    {".msgpack", "Flax"},
                                    {".ot", "rust-bert"},
                                    {"openvino_model.xml", "OpenVINO"}};

const Format* format_of(std::string_view name, std::span<const Format> formats) {
  const auto at =
      std::ranges::find_if(formats, [&](const Format& f) { return name.ends_with(f.end); });
  return at == formats.end() ? nullptr : &*at;
}

// Files that a training leaves beside the weights are none.
bool is_pickle(const std::string& name) {
  return format_of(name, kPickles) != nullptr && name != "training_args.bin" &&
         name != "optimizer.pt" && name != "scheduler.pt";
}

// Refuses for a file of weights that are not read, if there is one. `missing`: "model.safetensors".
void refuse_for_format(const fs::path& folder, const std::vector<std::string>& names,
                       const char* missing) {
  const std::string holds = fmt::format("{} holds no {}, but ", shown(folder), missing);
  for (const std::string& name : names) {
    if (!is_pickle(name)) continue;
    refuse_folder(
        fmt::format("{}{}, a pickle: opening it could run code, so it is never opened", holds,
                    escaped(name, 80)),
        fmt::format("convert it in its folder: python3 -c \"import torch, safetensors.torch as s; "
                    "s.save_file({{k: v.contiguous().clone() for k, v in torch.load('{}', "
                    "weights_only=True)"
                    ".items()}}, 'model.safetensors')\"",
                    escaped(name, 80)));
  }
  for (const std::string& name : names) {
    if (name.ends_with(".safetensors")) {
      refuse_folder(
          fmt::format("{}{}", holds, escaped(name, 80)),
          "if it is a whole BERT, name it model.safetensors; if it is one of several shards, "
          "fetch model.safetensors.index.json too");
    }
  }
  for (const std::string& name : names) {
    const bool is_onnx_folder = name == "onnx";
    const Format* format = format_of(name, kOtherFormats);
    if (format == nullptr && !is_onnx_folder) continue;
    refuse_folder(fmt::format("{}{}, weights of {}, which are not read", holds, escaped(name, 80),
                              is_onnx_folder ? "ONNX" : format->name),
                  "fetch model.safetensors of the same model, or save it with save_pretrained() of "
                  "transformers");
  }
}

}  // namespace

void require_folder(const fs::path& folder) {
  std::error_code error;
  const fs::file_status status = fs::status(folder, error);
  if (fs::is_directory(status)) return;
  if (fs::exists(status)) {
    refuse_folder(fmt::format("the encoder {} is a file, expected a folder", shown(folder)),
                  kNameHint);
  }
  std::error_code no_link;
  const fs::path target = fs::read_symlink(folder, no_link);
  refuse_folder(
      fmt::format("the encoder {} cannot be read: {}", shown(folder),
                  no_link ? std::make_error_code(std::errc::no_such_file_or_directory).message()
                          : fmt::format("it is a link to {}, which does not exist", shown(target))),
      kNameHint);
}

void refuse_without_config(const fs::path& folder) {
  const std::vector<std::string> names = names_in(folder);
  if (names.empty())
    refuse_folder(fmt::format("{} is empty: no config.json", shown(folder)), kFetchHint);
  std::vector<std::string> models;
  size_t looked_at = 0;
  find_models(folder, {}, 1, looked_at, models);
  if (!models.empty()) {
    refuse_folder(fmt::format("{} holds no config.json, but an encoder lies below it: {}",
                              shown(folder), listed(models)),
                  fmt::format("name {}", shown(folder / models.front())));
  }
  refuse_for_format(folder, names, "config.json");
  refuse_folder(fmt::format("{} holds no config.json; it holds {}", shown(folder), listed(names)),
                kFetchHint);
}

void refuse_without_weights(const fs::path& folder) {
  const std::vector<std::string> names = names_in(folder);
  refuse_for_format(folder, names, "model.safetensors");
  refuse_folder(
      fmt::format("{} holds no model.safetensors; it holds {}", shown(folder), listed(names)),
      kFetchHint);
}

}  // namespace moecollab::encoder
