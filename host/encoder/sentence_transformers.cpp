#include "encoder/sentence_transformers.h"

#include <fmt/format.h>

#include <stdexcept>

#include "base/error.h"
#include "base/git_lfs.h"
#include "base/json.h"
#include "base/strings.h"

namespace moecollab::encoder {
namespace {

constexpr uint64_t kMaxSettingsBytes = 1 << 20;
constexpr const char* kModulesHint =
    "name the folder of the BERT itself, which holds config.json, with --encoder or as [encoder] "
    "path";

[[noreturn]] void refuse_settings(const fs::path& file, const std::string& what) {
  throw Error("E_ENCODER", fmt::format("{}: {}", shown(file), what), kModulesHint);
}

// The settings in a file, null if it is not there.
Json read_settings(const fs::path& file) {
  std::error_code ignored;
  if (fs::symlink_status(file, ignored).type() == fs::file_type::not_found) return nullptr;
  refuse_lfs_pointer(file, "E_ENCODER");
  try {
    return parse_json(read_file(file, "E_ENCODER", kMaxSettingsBytes));
  } catch (const std::invalid_argument& error) {
    refuse_settings(file, error.what());
  }
}

struct Module {
  std::string type;  // without Python's modules: "Pooling"
  std::string path;  // below the model's folder; empty for the folder itself
};

// Whether it stays below the folder that it counts from.
bool leads_inside(const fs::path& path) {
  if (path.is_absolute()) return false;
  for (const fs::path& part : path) {
    if (part == "..") return false;
  }
  return path.string().find('\0') == std::string::npos;
}

Module module_of(const Json& entry, const fs::path& file) {
  const auto text = [&](const char* key) {
    const auto at = entry.is_object() ? entry.find(key) : entry.end();
    if (at == entry.end() || !at->is_string()) {
      refuse_settings(file, fmt::format("a module has no text `{}`", key));
    }
    return at->get<std::string>();
  };
  const std::string type = text("type");
  Module module{type.substr(type.rfind('.') + 1), text("path")};
  if (!leads_inside(module.path)) {
    refuse_settings(file, fmt::format("the module {} lies in {}, outside the folder",
                                      escaped(module.type, 80), escaped(module.path, 80)));
  }
  return module;
}

std::vector<Module> read_modules(const fs::path& file) {
  const Json list = read_settings(file);
  if (list.is_null()) return {};
  if (!list.is_array() || list.empty()) refuse_settings(file, "it is no list of modules");
  std::vector<Module> modules;
  for (const Json& entry : list) modules.push_back(module_of(entry, file));
  if (modules.front().type != "Transformer") {
    refuse_settings(file, fmt::format("the first module is a {}, expected a Transformer",
                                      escaped(modules.front().type, 80)));
  }
  return modules;
}

// "mean", "cls" or "max+mean": `pooling_mode`, of older releases `pooling_mode_mean_tokens` = true.
std::string pooling_of(const Json& settings) {
  static constexpr std::string_view kKey = "pooling_mode";
  std::vector<std::string> modes;
  for (const auto& [key, value] : settings.items()) {
    if (key == kKey && value.is_string()) modes.push_back(value.get<std::string>());
    if (key == kKey && value.is_array()) {
      for (const Json& mode : value)
        modes.push_back(mode.is_string() ? mode.get<std::string>() : "?");
    }
    if (!key.starts_with(std::string(kKey) + "_") || value != true) continue;
    std::string mode = key.substr(kKey.size() + 1);
    modes.push_back(mode.substr(0, mode.rfind("_token")));
  }
  return join(modes, "+");
}

void note_pooling(const fs::path& folder, std::vector<std::string>& notes) {
  const fs::path file = folder / "config.json";
  const Json settings = read_settings(file);
  if (!settings.is_object()) return;
  const std::string pooling = pooling_of(settings);
  if (pooling.empty() || pooling == "mean") return;
  notes.push_back(
      fmt::format("{} asks for {} pooling: gate and experts are given what they ask "
                  "for, by default the mean over all tokens",
                  shown(file), escaped(pooling, 80)));
}

std::optional<StatedLength> length_in(const fs::path& file, const char* key) {
  const Json settings = read_settings(file);
  const auto at = settings.is_object() ? settings.find(key) : settings.end();
  if (at == settings.end() || !at->is_number_integer()) return std::nullopt;
  return StatedLength{at->get<int64_t>(), key, file};
}

}  // namespace

SentenceModel read_sentence_model(const fs::path& folder) {
  const fs::path file = folder / "modules.json";
  const std::vector<Module> modules = read_modules(file);
  SentenceModel model{folder, std::nullopt, {}};
  for (const Module& module : modules) {
    if (&module == &modules.front()) {
      if (!module.path.empty()) model.transformer = folder / module.path;
    } else if (module.type == "Pooling") {
      note_pooling(folder / module.path, model.notes);
    } else if (module.type != "Normalize") {
      model.notes.push_back(
          fmt::format("{} has a module {}, which is left out: features are the "
                      "BERT's own states",
                      shown(file), escaped(module.type, 80)));
    }
  }
  model.max_length = length_in(model.transformer / "sentence_bert_config.json", "max_seq_length");
  if (!model.max_length && !modules.empty()) {
    model.max_length = length_in(model.transformer / "tokenizer_config.json", "model_max_length");
  }
  return model;
}

}  // namespace moecollab::encoder
