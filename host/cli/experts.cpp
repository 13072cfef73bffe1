// The verbs experts list, inspect, why, add, upgrade and verify.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/compute.h"
#include "base/error.h"
#include "base/strings.h"
#include "cli/verb.h"
#include "encoder/encoder_folder.h"
#include "experts/scanner.h"
#include "registry/layout.h"
#include "registry/names.h"
#include "registry/package.h"
#include "registry/registry_file.h"
#include "registry/resolution.h"
#include "registry/trust.h"

namespace moecollab::cli {
namespace {

std::string text_of(const Json& value) {
  return value.is_string() ? escaped(value.get<std::string>(), 120) : "–";
}

std::string table(const Json& experts) {
  std::string out = fmt::format("{:<24} {:<10} {:<14} {:<12} {:<18} {}\n", "NAME", "VERSION",
                                "STATE", "DOMAIN", "LABEL SPACE", "REASON");
  for (const Json& e : experts) {
    out += fmt::format("{:<24} {:<10} {:<14} {:<12} {:<18} {}\n", text_of(e["name"]),
                       text_of(e["version"]), text_of(e["state"]), text_of(e["domain"]),
                       text_of(e["label_space"]), e["code"].is_null() ? "" : text_of(e["code"]));
  }
  return out;
}

std::string list_text(const Json& result) {
  if (result["experts"].empty()) return "0 experts installed\n";
  return table(result["experts"]);
}

constexpr const char* kHowToGetExperts =
    "train an expert with `moecollab train-expert`, add one with `moecollab experts add`, or ";

const Json& find_expert(const Json& result, const std::string& name) {
  std::vector<std::string> names;
  for (const Json& expert : result["experts"]) {
    if (expert["name"] == name) return expert;
    names.push_back(expert["name"].get<std::string>());
  }
  throw Error(
      "E_CONFIG",
      fmt::format("there is no expert \"{}\"{}", escaped(name, 80), did_you_mean(name, names)),
      "`moecollab experts list` shows every one");
}

// The newer version that a pin, or the lock, holds back.
std::string held_back_text(const Json& e) {
  const bool pinned = e["pinned"].get<bool>();
  return fmt::format("  {} is installed and not taken: {} {}\n  next: `moecollab experts {} {}`\n",
                     text_of(e["newer"]), text_of(e["version"]),
                     pinned ? "is pinned in registry.toml" : "is selected in registry.lock.toml",
                     pinned ? "unpin" : "upgrade", text_of(e["name"]));
}

std::string why_text(const Json& e) {
  std::string out = fmt::format("{} is {}\n", text_of(e["name"]), text_of(e["state"]));
  if (!e["code"].is_null()) out += fmt::format("  rule: {}\n", text_of(e["code"]));
  if (!e["reason"].is_null())
    out += fmt::format("  {}\n", escaped(e["reason"].get<std::string>(), 600));
  if (e["hint"].is_string() && !e["hint"].get<std::string>().empty())
    out += fmt::format("  next: {}\n", e["hint"].get<std::string>());
  if (!e["newer"].is_null()) out += held_back_text(e);
  return out;
}

// Whose signature the package carries, and whether the registry (if there is one) trusts it.
Json signature_json(const fs::path& package, const fs::path& registry) {
  if (!fs::exists(package / registry::kSignatureFile)) return nullptr;
  const auto signature =
      registry::Signature::parse(read_file(package / registry::kSignatureFile, "E_REG_IO", 4096));
  Json json = {{"key", signature.key_id_text()},
               {"comment", signature.trusted_comment},
               {"publisher", nullptr},
               {"reason", nullptr}};
  try {
    const bool known = fs::exists(registry / registry::kRegistryFile);
    const std::vector<registry::TrustEntry> trust =
        known ? registry::read_registry(registry).trust : std::vector<registry::TrustEntry>();
    json["publisher"] = registry::check_signature(package, trust, registry::today_utc())->publisher;
  } catch (const Error& error) {
    json["reason"] = fmt::format("{}: {}", error.code(), error.what());
  }
  return json;
}

// What the expert was trained in, or what a kind that is still to be trained asks for.
std::string training_precision(const registry::Manifest& m) {
  if (m.is_kind()) return m.training.precision.value_or(name(Precision::kFp32));
  // Provenance is free: a stranger's may hold anything.
  const Json recipe = m.provenance.value("recipe", Json());
  const Json precision = recipe.is_object() ? recipe.value("precision", Json()) : Json();
  return precision.is_string() ? precision.get<std::string>() : "not recorded";
}

// Where a path is asked for, an expert's name may have been meant.
void require_package(const fs::path& path, const fs::path& registry) {
  std::error_code none;
  if (fs::exists(path, none)) return;
  std::string hint = "name a package: a folder that holds expert.toml, or FILE.moec";
  if (registry::is_name(path.string())) {
    const auto versions = registry::installed_versions(registry, path.string());
    if (!versions.empty()) {
      const fs::path newest = registry::version_folder(registry, path.string(), versions.back());
      hint = fmt::format(
          "inspect takes a path, and that of the installed expert is {}; `moecollab experts why "
          "{}` says its state",
          escaped(newest.string()), path.string());
    }
  }
  throw Error("E_REG_IO", fmt::format("there is no package {}", escaped(path.string())), hint);
}

// What the steps of `experts add` said of the package in this registry; null: it was not added.
Json integration_json(const fs::path& registry, const registry::Package& package) {
  const fs::path file = registry::integration_file(registry, package.manifest_sha256);
  if (!fs::exists(file)) return nullptr;
  try {
    return parse_json(read_file(file, "E_REG_IO", 1 << 20));
  } catch (const std::invalid_argument& error) {
    throw Error("E_REG_SYNTAX", fmt::format("{}: {}", escaped(file.string()), error.what()),
                "remove it: it says what `experts add` found, and nothing else reads it");
  }
}

// A package, read without running any of its code.
Json inspect(const fs::path& path, const fs::path& registry) {
  require_package(path, registry);
  const registry::PackageFolder opened(path);
  const fs::path& folder = opened.path();
  const registry::Package package = registry::open_package(folder);
  const registry::Manifest& m = package.manifest;
  const std::string library = registry::library_file(m);
  registry::check_files(package);
  const experts::LibraryNote note =
      experts::scan_library(read_file(folder / library, "E_PLUG_IO"), (folder / library).string());
  return {
      {"folder", path.string()},
      {"sha256", package.manifest_sha256},
      {"expert",
       {{"id", m.expert.id},
        {"name", m.expert.name},
        {"version", m.expert.version.text()},
        {"vendor", m.expert.vendor},
        {"license", m.expert.license}}},
      {"library",
       {{"file", library},
        {"id", note.id},
        {"version", note.version},
        {"abi", fmt::format("{}.{}", note.abi_major, note.abi_minor)},
        {"sdk", note.sdk}}},
      {"task",
       {{"domain", m.task.domain}, {"label_space", m.task.label_space}, {"labels", m.task.labels}}},
      {"input",
       {{"needs", m.input.needs},
        {"layers", m.input.layers},
        {"pooling", m.input.pooling},
        {"encoder", m.input.needs_encoder() ? Json(m.input.encoder_fingerprint) : Json("none")}}},
      {"training", {{"precision", training_precision(m)}}},
      {"signature", signature_json(folder, registry)},
      {"config", m.config},
      {"files", m.files},
      {"provenance", m.provenance},
      {"integration", integration_json(registry, package)}};
}

// "unrouted; next: …" of an expert that was added.
std::string way_on(const Json& added) {
  if (added["dry_run"].get<bool>()) return "nothing is written: a dry run";
  std::string text = added["state"].get<std::string>();
  if (added["selected"] != added["version"])
    text += fmt::format(" is {}, which registry.toml selects", text_of(added["selected"]));
  if (!added["next"].is_null()) text += "; next: " + added["next"].get<std::string>();
  return text;
}

// ", admission: admitted on 154 texts" and ", gate: 11 rows", as far as that was done.
std::string judged_text(const Json& r) {
  std::string text;
  if (const Json& judged = r["conformance"]; !judged.is_null())
    text += fmt::format(", conformance: level {}", judged["level"].get<int64_t>());
  if (const Json& admitted = r["admission"]; !admitted.is_null())
    text += fmt::format(", admission: {:+.4f} on {} texts{}", admitted["change"].get<double>(),
                        admitted["texts"].get<int64_t>(),
                        admitted["known"].get<bool>() ? " (known)" : "");
  if (const Json& gate = r["gate"]; !gate.is_null())
    text += gate.contains("rows")
                ? fmt::format(", gate: grown to {} rows", gate["rows"].get<int64_t>())
                : fmt::format(", gate: fitted over {} experts", gate["experts"].get<int64_t>());
  return text;
}

std::string added_text(const Json& r) {
  return fmt::format("{} {} {}, signed by: {}, probe: {}{}; {}\n", r["name"].get<std::string>(),
                     r["version"].get<std::string>(),
                     r["dry_run"].get<bool>() ? "can be installed" : "installed",
                     r["publisher"].is_null() ? "nobody" : text_of(r["publisher"]),
                     r["probe"].get<std::string>(), judged_text(r), way_on(r));
}

// The flags by which a package is judged and let take part in the same step.
void add_integration(CLI::App& verb, contribution::InstallOptions& install) {
  add_data(verb, install.data);
  verb.add_option_function<std::string>(
          "--then",
          [&install](const std::string& word) {
            install.then = contribution::parse_gate_step(word, "--then");
          },
          "What becomes of the gate in the same change, with data: its row is fitted, all rows "
          "are, "
          "or nothing (default: grow, if there are data and a gate)")
      ->type_name("grow|train-gate|none");
}

// Exit 5 if an expert that was asked for is refused.
int verify_status(const Json& result) {
  const auto refused = [](const Json& e) {
    return !e["code"].is_null() && e["state"] != "disabled";
  };
  return std::any_of(result["experts"].begin(), result["experts"].end(), refused) ? 5 : 0;
}

std::string claim_text(const Json& claim) {
  const std::string figure = claim["seen"].is_null()
                                 ? text_of(claim["reason"])
                                 : fmt::format("{:.4f} on {} texts", claim["seen"].get<double>(),
                                               claim["texts"].get<int64_t>());
  return fmt::format("  {} {} of {:.4f} (- {:.4f}) on {}: {}\n", text_of(claim["verdict"]) + ":",
                     text_of(claim["metric"]), claim["value"].get<double>(),
                     claim["tolerance"].get<double>(), text_of(claim["split"]), figure);
}

// Exit 5 if an expert that was asked for is refused, else 6 if a claim is not held.
int verify_claims(Program& program, const engine::EvalOptions& options, const std::string& name) {
  const Json result = open_engine().experts_claims(options, program.context(), name);
  std::string text;
  int status = 0;
  bool refused = false;
  for (const Json& expert : result["experts"]) {
    if (!expert["refused"].is_null()) {
      text +=
          fmt::format("{} is refused: {}\n", text_of(expert["name"]), text_of(expert["refused"]));
      refused = true;
      continue;
    }
    text += text_of(expert["name"]) + (expert["claims"].empty() ? ": claims nothing\n" : "\n");
    for (const Json& claim : expert["claims"]) {
      text += claim_text(claim);
      if (claim["verdict"] == "not held") status = 6;
    }
  }
  print_result(program, result, text);
  return refused ? 5 : status;
}

}  // namespace

void add_experts(Program& program) {
  CLI::App& verb = add_verb(program, program.app, "experts",
                            "The registry: which experts are installed, and why one is not",
                            "moecollab experts list --registry build/demo/registry");
  verb.require_subcommand(1);
  // Made again for each sub-verb: CLI11 reads the environment for all of them, parsed or not, and
  // would set what --registry of another one set.
  auto options = std::make_shared<engine::CommonOptions>();
  auto name = std::make_shared<std::string>();
  auto package = std::make_shared<fs::path>();
  const auto action = [&program](CLI::App& sub, std::function<int()> run) {
    sub.callback([&program, run = std::move(run)] { program.action = run; });
  };

  CLI::App& list = add_verb(program, verb, "list", "Every candidate with its state",
                            "moecollab experts list --registry build/demo/registry");
  add_common(list, program, *options);
  action(list, [&program, options] {
    const Json result = open_engine().experts_list(*options, program.context());
    print_result(program, result, list_text(result));
    if (result["experts"].empty() && !program.json)
      Log(program.console).note(std::string(kHowToGetExperts) + registry::kHowToNameOne);
    return 0;
  });

  CLI::App& inspect_verb =
      add_verb(program, verb, "inspect", "What a package says of itself; none of its code runs",
               "moecollab experts inspect build/lib/moecollab/plugins/lexical");
  options = std::make_shared<engine::CommonOptions>();
  inspect_verb.add_option("package", *package, "Package folder, or FILE.moec")
      ->type_name("PATH")
      ->required();
  inspect_verb
      .add_option("--registry", options->registry,
                  "Whose [[trust]] signatures are held against, and whose steps are shown")
      ->type_name("FOLDER")
      ->envname("MOECOLLAB_REGISTRY")
      ->capture_default_str();
  add_output(inspect_verb, program);
  action(inspect_verb, [&program, options, package] {
    const Json result = inspect(*package, options->registry);
    print_result(program, result, to_text(result));
    return 0;
  });

  CLI::App& why =
      add_verb(program, verb, "why",
               "Why an expert is in its state: the rule, the two values, the next command",
               "moecollab experts why news-words --registry build/demo/registry");
  options = std::make_shared<engine::CommonOptions>();
  why.add_option("name", *name, "Name of the expert")->required();
  add_common(why, program, *options);
  action(why, [&program, options, name] {
    const Json result = open_engine().experts_list(*options, program.context());
    const Json& expert = find_expert(result, *name);
    print_result(program, expert, why_text(expert));
    return 0;
  });

  for (const bool upgrade : {false, true}) {
    CLI::App& add = add_verb(
        program, verb, upgrade ? "upgrade" : "add",
        upgrade ? "Takes a higher version of an expert that is installed"
                : "Checks a package and installs it",
        upgrade ? "moecollab experts upgrade ./legal-clauses.package --registry build/demo/registry"
                : "moecollab experts add ./legal-clauses.package --registry build/demo/registry");
    auto install = std::make_shared<contribution::InstallOptions>();
    options = std::make_shared<engine::CommonOptions>();
    install->upgrade = upgrade;
    add.add_option("package", install->package,
                   upgrade
                       ? "Package folder, FILE.moec, or the name of an expert: its newest version"
                       : "Package folder, or FILE.moec")
        ->type_name("PATH")
        ->required();
    add.add_option("--name", install->name, "Name in this registry (default: the package's)");
    if (!upgrade) {
      add.add_option("--max-length", options->max_length, "Tokens per text, of a new registry")
          ->default_str(std::to_string(encoder::kDefaultMaxLength));
    }
    add_change(add, install->reason, install->dry_run);
    add_integration(add, *install);
    add_common(add, program, *options);
    add_seed(add, *options);
    add_cache(add, *options);
    action(add, [&program, options, install] {
      options->command = program.command;
      const Json r =
          open_engine().experts_add(*options, *install, check_conformance, program.context());
      print_result(program, r, added_text(r));
      return 0;
    });
  }

  CLI::App& verify =
      add_verb(program, verb, "verify",
               "Runs every check and all probe vectors again; with --claims, the authors' figures",
               "moecollab experts verify --registry build/demo/registry");
  auto evaluation = std::make_shared<engine::EvalOptions>();
  auto claims = std::make_shared<bool>(false);
  verify.add_option("name", *name, "One expert (default: all)");
  verify.add_flag(
      "--claims", *claims,
      "Take the figures that the experts' manifests claim, on the files given that have "
      "the claimed digests");
  add_data(verify, evaluation->data);
  add_common(verify, program, *evaluation);
  add_cache(verify, *evaluation);
  action(verify, [&program, evaluation, claims, name] {
    evaluation->command = program.command;
    if (*claims) return verify_claims(program, *evaluation, *name);
    const Json result = open_engine().experts_verify(*evaluation, program.context(), *name);
    std::string text;
    for (const Json& e : result["experts"])
      text += fmt::format("{}: {}, probe: {}\n", text_of(e["name"]), text_of(e["state"]),
                          text_of(e["probe"])) +
              (e["code"].is_null() ? "" : why_text(e));
    print_result(program, result, text);
    return verify_status(result);
  });
  add_operations(program, verb);
}

}  // namespace moecollab::cli
