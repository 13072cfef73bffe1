// The tables of two columns: gate, compute, provenance, and the key figures.
#include <fmt/format.h>

#include "evaluation/report_tables.h"
#include "evaluation/report_values.h"

namespace moecollab::evaluation {
namespace {

using Row = std::vector<Cell>;

// "emotion 1.02, news 0.98" of an object of numbers.
std::string numbers_of(const Json& root, Path path, int digits) {
  std::string out;
  for (const auto& [name, value] : object_at(root, path).items()) {
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", name,
                       value.is_number() ? decimal(number_at(value, {}), digits) : list(value));
  }
  return out.empty() ? kNoValue : out;
}

bool holds_any(const Json& values) { return values.is_array() && !values.empty(); }

Cell fusion_cell(const Json& report) {
  const auto fusion = text_at(report, {"gate", "fusion"});
  const auto fitted = text_at(report, {"gate", "fitted_fusion"});
  if (fusion && fitted && *fusion != *fitted) {
    return {*fusion, "the gate was fitted under " + *fitted, {}, Tone::kWarning};
  }
  return {text_or_none(fusion)};
}

Cell names_cell(const Json& values) {
  return {list(values), "", {}, holds_any(values) ? Tone::kWarning : Tone::kPlain};
}

}  // namespace

Table gate_table(const Json& report) {
  const Json& gate = object_at(report, {"gate"});
  const auto effective = number_at(gate, {"n_eff"});
  const auto target = number_at(gate, {"n_eff_target"});
  const std::string ratio =
      effective && target && *target > 0
          ? fmt::format("{:.2f} of the target, ideal is 0.95 to 1.05", *effective / *target)
          : "";
  Table table{"Gate usage", "", {{"What"}, {"Value"}}, {}};
  table.rows = {{{"Fusion"}, fusion_cell(report)},
                {{"Top-k"}, {text_or_none(text_at(gate, {"top_k"}))}},
                {{"Effective label spaces"},
                 {fmt::format("{} (target {})", decimal(effective, 2), decimal(target, 2)), ratio}},
                {{"Effective experts"}, {decimal(number_at(gate, {"n_eff_experts"}), 2)}},
                {{"Utilisation, soft"}, {percent(number_at(gate, {"utilisation", "soft"}))}},
                {{"Utilisation, top-1"}, {percent(number_at(gate, {"utilisation", "hard"}))}},
                {{"Mean entropy of a text's gate"},
                 {decimal(number_at(gate, {"entropy_mean"}), 3) + " nats"}},
                {{"Load by label space"}, {numbers_of(gate, {"load_space"}, 2), "1 is ideal"}},
                {{"Load by expert"}, {numbers_of(gate, {"load"}, 2), "1 is ideal"}},
                {{"Dead label spaces"}, names_cell(value_at(gate, {"dead"}))},
                {{"Idle experts"}, names_cell(value_at(gate, {"idle"}))},
                {{"Objective"}, {numbers_of(gate, {"objective"}, 4)}}};
  return table;
}

Table compute_table(const Json& report) {
  const Json& compute = object_at(report, {"compute"});
  const auto value = [&](std::string_view key) { return number_at(compute, {key}); };
  Table table{"Compute", "", {{"What"}, {"Value"}}, {}};
  table.rows = {
      {{"Encoder passes per text"}, {decimal(value("encoder_forwards_per_text"), 2)}},
      {{"Encoder passes from the cache"}, {count(value("cache_hits"))}},
      {{"Operations per text"}, {scaled(value("flops_per_text"), "FLOP")}},
      {{"Operations per text, one encoder for each"}, {scaled(value("flops_b0_per_text"), "FLOP")}},
      {{"Saved"}, {percent(value("saved")), "", {}, Tone::kStrong}},
      {{"Tokens"}, {count(value("tokens"))}},
      {{"Seconds"}, {decimal(value("seconds"), 2)}},
      {{"Texts per second"}, {decimal(value("texts_per_second"), 1)}},
      {{"Peak memory"}, {bytes(value("peak_rss_bytes"))}}};
  return table;
}

Table training_table(const Json& report) {
  Table table{
      "What training took",
      "Both passes of each expert: the one that chose the epochs, and the refit.",
      {{"Expert"}, {"Epochs", true}, {"Seconds", true}, {"Tokens", true}, {"Peak memory", true}},
      {}};
  for (const auto& [name, expert] : object_at(report, {"training", "experts"}).items()) {
    table.rows.push_back({{name},
                          {count(static_cast<double>(array_at(expert, {"epochs"}).size()))},
                          {decimal(number_at(expert, {"seconds"}), 1)},
                          {count(number_at(expert, {"tokens"}))},
                          {bytes(number_at(expert, {"peak_rss_bytes"}))}});
  }
  return table;
}

Table provenance_table(const Json& report) {
  const Json& from = object_at(report, {"provenance"});
  Table table{"Provenance", "", {{"What"}, {"Value"}}, {}};
  const auto add = [&](const char* title, std::string_view key) {
    table.rows.push_back({{title}, {text_or_none(text_at(from, {key}))}});
  };
  add("Version", "version");
  add("LibTorch", "libtorch");
  add("Device", "device");
  add("Precision", "precision");
  add("Threads", "threads");
  add("Seed", "seed");
  add("Encoder SHA-256", "encoder_sha256");
  add("Registry lock SHA-256", "registry_lock_sha256");
  for (const auto& [domain, digest] : object_at(from, {"data"}).items()) {
    const auto overlap = number_at(from, {"train_overlap", domain});
    const bool overlaps = overlap.value_or(0) > 0;
    table.rows.push_back({{"Data of " + domain + ", SHA-256"},
                          {text_or_none(text_at(digest, {})),
                           overlap ? count(overlap) + " texts also in training data" : "",
                           {},
                           overlaps ? Tone::kWarning : Tone::kPlain}});
  }
  add("Command", "command");
  return table;
}

std::vector<Figure> key_figures(const Json& report) {
  const auto overall = [&](std::string_view key) { return number_at(report, {"overall", key}); };
  const Json& coverage = object_at(report, {"overall", "coverage"});
  const auto at_90 = number_at(coverage, {"0.9"});
  return {{"Accuracy", score(overall("accuracy")), "all texts, domain not told"},
          {"Macro-F1", score(overall("macro_f1")), "mean of the domains"},
          {"Gap to oracle", score(overall("gap_to_oracle")),
           "oracle " + score(overall("oracle_accuracy"))},
          {"Routing", score(overall("routing_accuracy")), "texts sent to their own label space"},
          {"Calibration error", score(overall("ece")),
           at_90 ? "accuracy " + score(at_90) + " at 90 % coverage" : "15 bins"},
          {"Compute saved", percent(number_at(report, {"compute", "saved"})),
           decimal(number_at(report, {"compute", "encoder_forwards_per_text"}), 2) +
               " encoder passes per text"}};
}

}  // namespace moecollab::evaluation
