#include "cli/config_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "base/error.h"
#include "base/strings.h"
#include "base/toml.h"

namespace moecollab::cli {
namespace {

// The value of the last --config, given as two words or with '='.
std::optional<std::string> config_argument(const std::vector<std::string>& arguments) {
  std::optional<std::string> file;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--config" && i + 1 < arguments.size()) file = arguments[i + 1];
    if (arguments[i].starts_with("--config=")) file = arguments[i].substr(9);
  }
  return file;
}

bool is_given(const std::vector<std::string>& arguments, const CLI::Option& option,
              const std::string& flag) {
  const bool typed =
      std::any_of(arguments.begin(), arguments.end(), [&](const std::string& argument) {
        return argument == flag || argument.starts_with(flag + "=");
      });
  return typed ||
         (!option.get_envname().empty() && std::getenv(option.get_envname().c_str()) != nullptr);
}

std::string to_argument(const Json& value) {
  return value.is_string() ? value.get<std::string>() : to_line(value);
}

}  // namespace

std::vector<std::string> with_config(const CLI::App& verb, std::vector<std::string> arguments) {
  const std::optional<std::string> file = config_argument(arguments);
  if (!file) return arguments;
  const TomlDocument document = read_toml(*file, "E_CONFIG");
  std::vector<std::string> known, added;
  for (const CLI::Option* option : verb.get_options()) {
    for (const std::string& name : option->get_lnames()) known.push_back(name);
  }
  for (const auto& [key, value] : document.root.items()) {
    const CLI::Option* option = verb.get_option_no_throw("--" + key);
    if (option == nullptr || key == "config" || key == "help") {
      throw Error("E_CONFIG", fmt::format("{}:{}: `{}` is not an option of {}{}", escaped(*file),
                                          document.lines.at(key), escaped(key, 80), verb.get_name(),
                                          did_you_mean(key, known)));
    }
    const std::string flag = "--" + key;
    if (is_given(arguments, *option, flag)) continue;
    if (value.is_boolean()) {
      if (value.get<bool>()) added.push_back(flag);
      continue;
    }
    if (value.is_object())
      throw Error("E_CONFIG", fmt::format("{}: `{}` is a table; options have plain values",
                                          escaped(*file), key));
    for (const Json& item : value.is_array() ? value : Json::array({value}))
      added.push_back(flag + "=" + to_argument(item));
  }
  arguments.insert(arguments.end(), added.begin(), added.end());
  return arguments;
}

}  // namespace moecollab::cli
