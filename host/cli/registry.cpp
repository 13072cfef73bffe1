// The verbs registry check, export and import: a registry as a whole.
#include <fmt/format.h>

#include <memory>

#include "base/installation.h"
#include "base/strings.h"
#include "cli/verb.h"
#include "registry/transfer.h"

namespace moecollab::cli {
namespace {

std::string text_of(const Json& json, const char* key) {
  return escaped(json[key].get<std::string>(), 600);
}

std::string check_text(const Json& result) {
  std::string text;
  for (const Json& finding : result["findings"]) {
    text += fmt::format("{}: {}: {}\n", text_of(finding, "subject"), text_of(finding, "code"),
                        text_of(finding, "reason"));
    if (!finding["hint"].get<std::string>().empty())
      text += fmt::format("  {}\n", text_of(finding, "hint"));
  }
  return text.empty() ? "nothing is wrong: `eval` and `predict` can use it\n" : text;
}

Json transfer_json(const registry::Transfer& transfer) {
  return {{"packages", transfer.packages},
          {"files", transfer.files},
          {"bytes", transfer.bytes},
          {"encoder_fingerprint",
           transfer.fingerprint.empty() ? Json(nullptr) : Json(transfer.fingerprint)}};
}

struct TransferOptions : engine::CommonOptions {
  fs::path file;
};

int run_export(Program& program, const TransferOptions& options) {
  const registry::Transfer transfer = registry::export_registry(options.registry, options.file);
  Json json = transfer_json(transfer);
  json["file"] = options.file.string();
  print_result(program, json,
               fmt::format("{}: {} packages, {} files, {:.1f} MB; the encoder is not in it\n",
                           escaped(options.file.string()), transfer.packages.size(), transfer.files,
                           static_cast<double>(transfer.bytes) / 1e6));
  return 0;
}

// The experts must answer here as they did there, by their probe vectors.
int run_import(Program& program, TransferOptions& options) {
  const fs::path encoder = options.encoder.value_or(usual_encoder());
  const registry::Transfer transfer =
      registry::import_registry(options.file, options.registry, encoder);
  options.encoder.reset();  // registry.toml names it now
  const Json check = open_engine().registry_check(options, program.context());
  Json json = transfer_json(transfer);
  json["registry"] = options.registry.string();
  json["findings"] = check["findings"];
  print_result(program, json,
               fmt::format("{}: {} packages, encoder {}\n{}", escaped(options.registry.string()),
                           transfer.packages.size(), escaped(encoder.string()), check_text(check)));
  return check["status"].get<int>();
}

void add_check(Program& program, CLI::App& parent) {
  CLI::App& verb =
      add_verb(program, parent, "check", "Everything that `eval` would refuse, at once",
               "moecollab registry check --registry build/demo/registry");
  auto options = std::make_shared<engine::CommonOptions>();
  add_common(verb, program, *options);
  verb.callback([&program, options] {
    program.action = [&program, options] {
      const Json result = open_engine().registry_check(*options, program.context());
      print_result(program, result, check_text(result));
      return result["status"].get<int>();
    };
  });
}

void add_transfer(Program& program, CLI::App& parent, const std::string& name,
                  const std::string& description, const std::string& example,
                  int (*run)(Program&, TransferOptions&)) {
  CLI::App& verb = add_verb(program, parent, name, description, example);
  auto options = std::make_shared<TransferOptions>();
  verb.add_option("file", options->file, "Archive")->type_name("FILE")->required();
  add_common(verb, program, *options);
  verb.callback([&program, options, run] {
    program.action = [&program, options, run] { return run(program, *options); };
  });
}

}  // namespace

void add_registry(Program& program) {
  CLI::App& verb =
      add_verb(program, program.app, "registry", "A registry as a whole: check it, move it",
               "moecollab registry check --registry build/demo/registry");
  verb.require_subcommand(1);
  add_check(program, verb);
  add_transfer(program, verb, "export", "Writes one file that holds all but the encoder",
               "moecollab registry export pool.moecreg --registry build/demo/registry",
               [](Program& p, TransferOptions& options) { return run_export(p, options); });
  add_transfer(program, verb, "import",
               "Makes a registry of such a file, and checks that its experts answer as before",
               "moecollab registry import pool.moecreg --registry pool", &run_import);
}

}  // namespace moecollab::cli
