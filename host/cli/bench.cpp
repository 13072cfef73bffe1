// The verb bench.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "cli/verb.h"

namespace moecollab::cli {
namespace {

// A number of a stage, or nothing if the stage does not have it.
std::string cell(const Json& stage, const char* key, int decimals, double times = 1) {
  if (!stage.contains(key)) return "";
  return fmt::format("{:.{}f}", times * stage[key].get<double>(), decimals);
}

std::string row(const std::string& name, size_t width, const Json& stage) {
  std::string line =
      fmt::format("{:<{}}{:>11}{:>11}{:>12}{:>10}{:>11}{:>9}{:>10}", name, width,
                  cell(stage, "milliseconds", 2), cell(stage, "texts_per_second", 0),
                  cell(stage, "tokens_per_second", 0), cell(stage, "gflops", 1),
                  cell(stage, "share_of_peak", 1, 100), cell(stage, "microseconds_batch_1", 0),
                  cell(stage, "microseconds_batch_32", 0));
  if (stage.contains("megabytes_per_second"))
    line += fmt::format("  {} MB/s", cell(stage, "megabytes_per_second", 1));
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

std::string peak_line(const Json& r) {
  std::string line = fmt::format("peak of {} threads: ", r["threads"].get<int>());
  for (const auto& [precision, gflops] : r["peak"]["gflops"].items())
    line += fmt::format("{} {:.0f} GFLOP/s, ", precision, gflops.get<double>());
  return line + fmt::format("memory copy {} GB/s\n",
                            cell(r["peak"], "memory_copy_gigabytes_per_second", 1));
}

std::string bench_text(const Json& r) {
  std::vector<std::pair<std::string, Json>> stages;
  const auto add = [&](const char* stage) {
    if (r.contains(stage)) stages.emplace_back(stage, r[stage]);
  };
  add("tokenize");
  add("encode");
  for (const Json& expert : r.value("experts", Json::array()))
    stages.emplace_back("expert " + expert["name"].get<std::string>(), expert);
  add("gate");
  add("fusion");
  size_t width = 0;
  for (const auto& [name, stage] : stages) width = std::max(width, name.size());

  std::string out = peak_line(r);
  out += fmt::format("{} texts, {} tokens, encoder in {}\n", r["texts"].get<int64_t>(),
                     r["tokens"].get<int64_t>(), r["precision"].get<std::string>());
  out += fmt::format("{:<{}}{:>11}{:>11}{:>12}{:>10}{:>11}{:>9}{:>10}\n", "stage", width, "ms",
                     "texts/s", "tokens/s", "GFLOP/s", "% of peak", "µs for 1", "µs for 32");
  for (const auto& [name, stage] : stages) out += row(name, width, stage);
  if (r.contains("left_out")) {
    out += fmt::format("gate and fusion are left out: {}\n",
                       r["left_out"]["reason"].get<std::string>());
  }
  return out;
}

}  // namespace

void add_bench(Program& program) {
  auto options = std::make_shared<engine::BenchOptions>();
  CLI::App& verb = add_verb(program, program.app, "bench",
                            "Measures the machine's peak, and each stage against it",
                            "moecollab bench --stage encode --registry build/demo/registry");
  static const std::map<std::string, engine::BenchStage> kStages = {
      {"encode", engine::BenchStage::kEncode},
      {"expert", engine::BenchStage::kExpert},
      {"all", engine::BenchStage::kAll}};
  verb.add_option_function<std::string>(
          "--stage", [options](const std::string& word) { options->stage = kStages.at(word); },
          "encode (with tokenising), expert, or all (gate and fusion too)")
      ->check(CLI::IsMember({"encode", "expert", "all"}))
      ->default_str("all");
  verb.add_option("--texts", options->texts, "Synthetic texts that each stage is measured on")
      ->capture_default_str();
  add_common(verb, program, *options);
  verb.callback([&program, options] {
    program.action = [&program, options] {
      const Json result = open_engine().bench(*options, program.context());
      print_result(program, result, bench_text(result));
      return 0;
    };
  });
}

}  // namespace moecollab::cli
