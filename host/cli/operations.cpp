// The verbs experts enable, disable, pin, unpin, remove, lock, history, rollback and gc: what an
// operator changes without an expert's code.
#include "registry/operations.h"

#include <fmt/format.h>

#include <memory>

#include "base/strings.h"
#include "cli/verb.h"
#include "registry/garbage.h"
#include "registry/quarantine.h"
#include "registry/rollback.h"

namespace moecollab::cli {
namespace {

// What all of them take.
struct Options {
  fs::path registry = "registry";
  std::string name, version, reason;
  std::optional<int64_t> number;
  bool dry_run = false, allow_downgrade = false, check = false;
};

registry::Operation operation_of(Program& program, const Options& options) {
  return {
      options.registry, {program.command, options.reason}, options.dry_run, Log(program.console)};
}

// What a text begins with.
const char* dry_text(const Options& options) {
  return options.dry_run ? "dry run, nothing is written: " : "";
}

std::string change_text(const std::optional<int64_t>& change) {
  return change ? fmt::format("; change {}", *change) : "";
}

std::string selection_text(const registry::Selection& selection) {
  if (!selection.entry) return "is out of the registry; its packages stay until `experts gc`";
  std::string text = selection.entry->enabled ? "is enabled" : "is disabled";
  if (!selection.version.empty()) text += ", version " + selection.version;
  if (selection.entry->pin) text += ", pinned";
  return text;
}

int print(Program& program, const Options& options, const registry::OperationResult& result) {
  Json json = result.to_json();
  json["dry_run"] = options.dry_run;
  print_result(
      program, json,
      fmt::format("{}{} {}{}\n", dry_text(options), result.name, selection_text(result.after),
                  result.differs ? change_text(result.change) : ", as it was"));
  return 0;
}

int run_lock(Program& program, const Options& options) {
  const std::vector<std::string> differences = registry::lock_differences(options.registry);
  const int64_t change =
      options.check ? 0 : registry::write_lock_again(operation_of(program, options));
  const bool written = change != 0;
  std::string text = differences.empty() && !written ? "registry.lock.toml is right\n" : "";
  for (const std::string& difference : differences) text += difference + "\n";
  if (written) text += fmt::format("registry.lock.toml is written; change {}\n", change);
  print_result(program,
               {{"differences", differences}, {"change", written ? Json(change) : Json(nullptr)}},
               text);
  return options.check && !differences.empty() ? 4 : 0;
}

Json history_json(const fs::path& folder) {
  Json changes = Json::array();
  for (const registry::HistoryEntry& entry : registry::read_history(folder)) {
    Json json = entry.to_json();
    json["files"] = registry::changed_files(entry.before, entry.after);
    json["can_be_rolled_back"] = registry::can_roll_back(folder, entry);
    changes.push_back(std::move(json));
  }
  return {{"registry", folder.string()}, {"changes", changes}};
}

std::string history_text(const Json& history) {
  if (history["changes"].empty()) return "nothing was changed in this registry yet\n";
  std::string out = fmt::format("{:>6}  {:<20}  {:<12}  {}\n", "CHANGE", "TIME", "WHO", "COMMAND");
  for (const Json& change : history["changes"]) {
    out += fmt::format(
        "{:>6}  {:<20}  {:<12}  {}{}\n", change["number"].get<int64_t>(),
        escaped(change["time"].get<std::string>(), 20),
        escaped(change["who"].get<std::string>(), 12),
        escaped(change["command"].get<std::string>(), 200),
        change["can_be_rolled_back"].get<bool>()
            ? ""
            : "  (cannot be taken back: its packages or gate are not there as they were)");
    const auto reason = change["reason"].get<std::string>();
    if (!reason.empty()) out += fmt::format("{:>44}{}\n", "", escaped(reason, 400));
  }
  return out;
}

int run_rollback(Program& program, const Options& options) {
  const registry::RollbackResult result =
      registry::rollback(operation_of(program, options), options.number);
  const std::optional<int64_t> change =
      result.change != 0 ? std::optional(result.change) : std::nullopt;
  std::string text =
      result.files.empty()
          ? "the registry is as it was before that change already\n"
          : fmt::format("{}put back: {}, as before change {} ({}){}\n", dry_text(options),
                        join(result.files, ", "), result.before_change,
                        escaped(result.command, 120), change_text(change));
  for (const std::string& version : result.versions) text += "  " + version + "\n";
  print_result(program,
               {{"before_change", result.before_change},
                {"files", result.files},
                {"versions", result.versions},
                {"dry_run", options.dry_run},
                {"change", change ? Json(*change) : Json(nullptr)}},
               text);
  return 0;
}

int run_gc(Program& program, const Options& options) {
  const registry::Garbage garbage = registry::collect_garbage(operation_of(program, options));
  std::string text;
  for (const std::string& package : garbage.packages) text += package + "\n";
  text = fmt::format("{}{} packages and {} contents of old gates removed, {:.1f} MB\n",
                     dry_text(options), garbage.packages.size(), garbage.contents,
                     static_cast<double>(garbage.bytes) / 1e6) +
         text;
  print_result(program,
               {{"packages", garbage.packages},
                {"contents", garbage.contents},
                {"bytes", garbage.bytes},
                {"oldest_rollback", garbage.oldest != 0 ? Json(garbage.oldest) : Json(nullptr)},
                {"dry_run", options.dry_run}},
               text);
  return 0;
}

// One verb of the family: its flags and what it does.
class Family {
 public:
  Family(Program& program, CLI::App& parent, std::string words = "experts")
      : program_(program), parent_(parent), words_(std::move(words)) {}

  using Run = std::function<int(Program&, const Options&)>;
  // `arguments` is added to the example.
  CLI::App& add(const std::string& name, const std::string& description,
                const std::string& arguments, Run run) {
    options_ = std::make_shared<Options>();
    CLI::App& verb = add_verb(program_, parent_, name, description,
                              fmt::format("moecollab {} {}{}{} --registry build/demo/registry",
                                          words_, name, arguments.empty() ? "" : " ", arguments));
    verb.callback([&program = program_, options = options_, run = std::move(run)] {
      program.action = [&program, options, run] { return run(program, *options); };
    });
    return verb;
  }
  Options& options() { return *options_; }

  // The flags that end each verb's list.
  void finish(CLI::App& verb, bool changes) {
    if (changes) add_change(verb, options_->reason, options_->dry_run);
    verb.add_option("--registry", options_->registry, "Registry folder")
        ->type_name("FOLDER")
        ->envname("MOECOLLAB_REGISTRY")
        ->capture_default_str();
    add_output(verb, program_);
  }

 private:
  Program& program_;
  CLI::App& parent_;
  std::string words_;  // that the verbs follow
  std::shared_ptr<Options> options_;
};

int run_clear(Program& program, const Options& options) {
  const registry::Cleared cleared =
      registry::clear_quarantine(operation_of(program, options), options.name);
  Json packages = Json::array();
  std::string text = cleared.packages.empty()
                         ? fmt::format("{} is not quarantined\n", escaped(options.name, 80))
                         : "";
  for (const registry::Quarantined& entry : cleared.packages) {
    packages.push_back({{"sha256", entry.sha256},
                        {"code", entry.code},
                        {"phase", entry.phase},
                        {"cause", entry.cause},
                        {"time", entry.time}});
    text +=
        fmt::format("{}{} may run again; on {} its process {} in {}(){}\n", dry_text(options),
                    entry.name, entry.time, entry.cause, entry.phase, change_text(cleared.change));
  }
  print_result(program,
               {{"name", options.name},
                {"cleared", packages},
                {"dry_run", options.dry_run},
                {"change", cleared.change ? Json(*cleared.change) : Json(nullptr)}},
               text);
  return 0;
}

void add_name(CLI::App& verb, Options& options) {
  verb.add_option("name", options.name, "Name of the expert")->required();
}

void add_entry_verbs(Family& family) {
  for (const bool enabled : {true, false}) {
    CLI::App& verb = family.add(
        enabled ? "enable" : "disable",
        enabled ? "Lets an expert take part again" : "Keeps an expert installed, without a part",
        "news-words", [enabled](Program& program, const Options& o) {
          return print(program, o, registry::enable(operation_of(program, o), o.name, enabled));
        });
    add_name(verb, family.options());
    family.finish(verb, true);
  }
  CLI::App& pin = family.add(
      "pin", "Holds an expert at one installed version", "news-words --to 1.0.0",
      [](Program& program, const Options& o) {
        return print(program, o,
                     registry::pin(operation_of(program, o), o.name, o.version, o.allow_downgrade));
      });
  add_name(pin, family.options());
  pin.add_option("--to", family.options().version,
                 "An installed version (default: the selected one)");
  pin.add_flag("--allow-downgrade", family.options().allow_downgrade,
               "Take a version lower than the selected one");
  family.finish(pin, true);
  CLI::App& unpin =
      family.add("unpin", "Lets an expert be upgraded again", "news-words",
                 [](Program& program, const Options& o) {
                   return print(program, o, registry::unpin(operation_of(program, o), o.name));
                 });
  add_name(unpin, family.options());
  family.finish(unpin, true);
  CLI::App& remove = family.add(
      "remove", "Takes an expert out of the registry; its packages stay until `experts gc`",
      "news-words", [](Program& program, const Options& o) {
        return print(program, o, registry::remove_expert(operation_of(program, o), o.name));
      });
  add_name(remove, family.options());
  family.finish(remove, true);
}

}  // namespace

void add_change(CLI::App& verb, std::string& reason, bool& dry_run) {
  verb.add_option("--reason", reason, "Why, for the history")->type_name("TEXT");
  verb.add_flag("--dry-run", dry_run, "Every check, and nothing is written");
}

void add_operations(Program& program, CLI::App& parent) {
  Family family(program, parent);
  add_entry_verbs(family);
  CLI::App& quarantine = add_verb(program, parent, "quarantine",
                                  "Packages whose processes died, hung or talked nonsense",
                                  "moecollab experts quarantine clear news-words");
  quarantine.require_subcommand(1);
  Family quarantined(program, quarantine, "experts quarantine");
  CLI::App& clear =
      quarantined.add("clear", "Lets a quarantined expert run again", "news-words", run_clear);
  add_name(clear, quarantined.options());
  quarantined.finish(clear, true);
  CLI::App& lock =
      family.add("lock", "Writes registry.lock.toml as registry.toml selects now", "", run_lock);
  lock.add_flag("--check", family.options().check,
                "Write nothing; exit 4 if it would be written otherwise");
  family.finish(lock, true);
  CLI::App& history = family.add("history", "What changed this registry, when, by whom and why", "",
                                 [](Program& program_now, const Options& o) {
                                   registry::registry_text(o.registry);
                                   const Json json = history_json(o.registry);
                                   print_result(program_now, json, history_text(json));
                                   return 0;
                                 });
  family.finish(history, false);
  CLI::App& rollback = family.add(
      "rollback", "Puts back the registry, lock and gate as before a change", "7", run_rollback);
  rollback.add_option("change", family.options().number,
                      "Number of the change, as `experts history` says (default: the last one)");
  family.finish(rollback, true);
  CLI::App& gc =
      family.add("gc", "Removes what no state needs that can be put back with the last three gates",
                 "", run_gc);
  family.finish(gc, true);
}

}  // namespace moecollab::cli
