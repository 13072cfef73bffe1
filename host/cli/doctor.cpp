// The verb doctor.
#include <fmt/format.h>

#include <memory>

#include "base/error.h"
#include "base/version.h"
#include "cli/verb.h"
#include "registry/registry_file.h"
#include "worker/process.h"

namespace moecollab::cli {
namespace {

// A check that may fail without ending the others: its result, or the error as JSON.
Json attempt(const std::function<Json()>& check) {
  try {
    return check();
  } catch (const Error& error) {
    return {{"error", error.code()}, {"message", error.what()}, {"hint", error.hint()}};
  }
}

std::string finding(const std::string& what, const Json& value) {
  if (!value.contains("error")) return fmt::format("ok       {}: {}\n", what, to_line(value));
  return fmt::format("missing  {}: {}\n         {}\n", what, value["message"].get<std::string>(),
                     value["hint"].get<std::string>());
}

std::string cuda_finding(const Json& value) {
  if (value.contains("error")) return finding("cuda", value);
  if (value["usable"] == 0) {
    return fmt::format("note     cuda: no GPU can be used: {}\n         {}\n",
                       value["missing"].get<std::string>(), value["hint"].get<std::string>());
  }
  std::string text =
      fmt::format("ok       cuda: driver of CUDA {}\n", value["driver_cuda"].get<std::string>());
  int index = 0;
  for (const Json& device : value["devices"]) {
    text +=
        fmt::format("         cuda:{}: {}, {} GiB\n", index++, device["name"].get<std::string>(),
                    device["memory_bytes"].get<int64_t>() >> 30);
  }
  return text;
}

// A registry that can be read may be the sample of the source tree, or another one than was meant.
std::string registry_finding(const Json& value) {
  std::string text = finding("registry", value);
  if (value.value("experts", 1) == 0)
    text += fmt::format("         to use another, {}\n", registry::kHowToNameOne);
  return text;
}

std::string sandbox_finding(const Json& value) {
  std::string text = finding("sandbox", value);
  if (value.value("level", "") != "full" && !value.contains("error"))
    text +=
        "         experts from elsewhere are shut off less than they should be: a kernel with "
        "seccomp and\n         Landlock (Linux 5.13) gives the level \"full\"; "
        "--require-sandbox refuses any other\n";
  return text;
}

}  // namespace

void add_doctor(Program& program) {
  auto options = std::make_shared<engine::CommonOptions>();
  CLI::App& verb = add_verb(program, program.app, "doctor",
                            "Says what is here, what is missing and how to get it",
                            "moecollab doctor --registry build/demo/registry");
  add_common(verb, program, *options);
  verb.callback([&program, options] {
    program.action = [&program, options] {
      const Json result = {
          {"version", kVersion},
          {"engine", attempt([&] { return open_engine().facts(*options); })},
          {"cuda", attempt([&] { return open_engine().cuda_facts(); })},
          {"encoder", attempt([&] { return open_engine().encoder_facts(*options); })},
          {"registry", attempt([&] {
             return Json{{"experts", registry::read_registry(options->registry).experts.size()}};
           })},
          {"sandbox", attempt([] {
             return Json{{"level", worker::name(worker::granted_sandbox())}};
           })}};
      print_result(program, result,
                   fmt::format("moecollab {}\n", kVersion) + finding("engine", result["engine"]) +
                       cuda_finding(result["cuda"]) + finding("encoder", result["encoder"]) +
                       registry_finding(result["registry"]) + sandbox_finding(result["sandbox"]));
      return result["engine"].contains("error") ? 1 : 0;
    };
  });
}

}  // namespace moecollab::cli
