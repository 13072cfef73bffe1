// What the evaluation cost.
#include "evaluation/headline_table.h"
#include "evaluation/report_sections.h"
#include "evaluation/report_values.h"

namespace moecollab::evaluation {
namespace {

// Null if the gate reads the last layer, so that no text can stop before it.
Json cascade_json(const CascadeFigures& cascade, double texts, double flops, double single) {
  if (cascade.gate_layer == cascade.encoder_layers) return nullptr;
  return {{"gate_layer", cascade.gate_layer},
          {"deepest_layer", cascade.deepest_layer},
          {"stopped", static_cast<double>(cascade.stopped) / texts},
          {"layers_per_text", static_cast<double>(cascade.layers) / texts},
          {"flops_per_text", flops},
          {"flops_without_per_text", single},
          {"saved", 1 - flops / single}};
}

// What one model alone costs per text.
Json alone_json(const ComputeFigures& cost, double texts) {
  const auto per_text = [&](std::optional<double> flops) {
    return flops ? Json(*flops / texts) : Json(nullptr);
  };
  return {{"expert", per_text(cost.best_expert_flops)},
          {"multi_task_head", per_text(cost.head_flops)},
          {"multi_task_deep", per_text(cost.deep_flops)}};
}

// Real tokens through the encoder, and through each expert that the gate sent the texts to (whether
// it ran or its answer was cached), beside one encoder for each expert and the gate.
Json compute_json(const Figures& figures) {
  const ComputeFigures& cost = figures.compute;
  size_t texts = 0;
  for (const DomainFigures& domain : figures.domains) texts += domain.truth.size();
  const auto n = static_cast<double>(texts);
  const double passes = static_cast<double>(cost.forwards + cost.cache_hits) / n;
  const bool apart = cost.arrangement == Arrangement::kSeparate;  // then whole passes, and all run
  const auto with = [&](double encoder_flops) {
    return (encoder_flops * passes + (apart ? cost.all_experts_flops : cost.expert_flops)) / n +
           cost.gate_flops;
  };
  const double ours = with(apart ? cost.encoder_flops : cost.cascade.flops);
  const double single = with(cost.cascade.flops_without);
  const double separate =
      (cost.encoder_flops * (cost.encoder_experts + 1) + cost.all_experts_flops) / n +
      cost.gate_flops;
  const double fine_tuned =
      cost.encoder_flops * static_cast<double>(figures.gate.experts.size()) / n + cost.gate_flops;
  return {{"arrangement", name(cost.arrangement)},
          {"encoder_forwards_per_text", passes},
          {"cache_hits", cost.cache_hits},
          {"flops_per_text", ours},
          {"flops_b0_per_text", separate},
          {"saved", 1 - ours / separate},
          {"flops_b1_per_text", fine_tuned},
          {"saved_b1", 1 - ours / fine_tuned},
          {"flops_alone", alone_json(cost, n)},
          {"cascade", cascade_json(cost.cascade, n, ours, single)},
          {"tokens", cost.tokens},
          {"seconds", cost.seconds},
          {"texts_per_second", n / cost.seconds},
          {"peak_rss_bytes", cost.peak_rss_bytes}};
}

Content compute(const Json& report) {
  const Json& cost = object_at(report, {"compute"});
  const auto value = [&](std::string_view key) { return number_at(cost, {key}); };
  return Table{{{"What"}, {"Value"}},
               {{{"Arrangement"}, {text_or_none(text_at(cost, {"arrangement"}))}},
                {{"Encoder passes per text"}, {decimal(value("encoder_forwards_per_text"), 2)}},
                {{"Encoder passes from the cache"}, {count(value("cache_hits"))}},
                {{"Operations per text"}, {scaled(value("flops_per_text"), "FLOP")}},
                {{"Operations per text, one encoder for each"},
                 {scaled(value("flops_b0_per_text"), "FLOP")}},
                {{"Saved"}, {percent(value("saved")), "", {}, Tone::kStrong}},
                {{"Operations per text, a fine-tuned encoder for each expert"},
                 {scaled(value("flops_b1_per_text"), "FLOP")}},
                {{"Saved against those"}, {percent(value("saved_b1"))}},
                {{"Tokens"}, {count(value("tokens"))}},
                {{"Seconds"}, {decimal(value("seconds"), 2)}},
                {{"Texts per second"}, {decimal(value("texts_per_second"), 1)}},
                {{"Peak memory"}, {bytes(value("peak_rss_bytes"))}}}};
}

// Each system a point.
Content cost_against_accuracy(const Json& report) {
  Chart chart{"Cost against accuracy",
              "Operations per text, on all texts. The best experts know the domain, as does what "
              "says so; the others do not.",
              {},
              ChartKind::kPoints};
  chart.x_title = "GFLOP per text";
  chart.y_title = "accuracy";
  const auto add = [&](const char* name, Path cost, std::optional<double> accuracy) {
    const auto flops = number_at(value_at(report, {"compute"}), cost);
    if (flops && accuracy) chart.series.push_back({name, {accuracy}, {*flops / 1e9}});
  };
  const auto overall = [&](std::string_view key) { return number_at(report, {"overall", key}); };
  const auto system = [&](std::string_view key) {
    return over_domains(report, 0, {key, "accuracy"});
  };
  add("MoECollab", {"flops_per_text"}, overall("accuracy"));
  add("MoECollab, domain known", {"flops_per_text"}, overall("accuracy_task_aware"));
  add("MoECollab, an encoder for each", {"flops_b0_per_text"}, overall("accuracy"));
  add("best experts", {"flops_alone", "expert"}, system("expert"));
  add("multi-task head", {"flops_alone", "multi_task_head"}, system("multi_task_head"));
  add("multi-task deep model", {"flops_alone", "multi_task_deep"}, system("multi_task_deep"));
  return std::vector{std::move(chart)};
}

// Only for a gate that reads an early layer.
Content cascade(const Json& report) {
  const Json& cost = object_at(report, {"compute", "cascade"});
  if (cost.empty()) return Table{};
  const auto value = [&](std::string_view key) { return number_at(cost, {key}); };
  const std::string accuracy = score(number_at(report, {"overall", "accuracy"}));
  const auto row = [&](const std::string& title, const std::string& stopped,
                       const std::string& layers, std::string_view flops) {
    return Row{{title}, {stopped}, {layers}, {scaled(value(flops), "FLOP")}, {accuracy}};
  };
  return Table{
      {{""}, {"Stopped", true}, {"Layers per text", true}, {"Per text", true}, {"Accuracy", true}},
      {row("Cascade from layer " + count(value("gate_layer")), percent(value("stopped")),
           decimal(value("layers_per_text"), 2), "flops_per_text"),
       row("Every text as deep as any expert reads", kNoValue, decimal(value("deepest_layer"), 2),
           "flops_without_per_text")}};
}

Row change_row(const std::string& title, const Json& change) {
  const auto value = [&](std::string_view key) { return number_at(change, {key}); };
  return {{title},
          {count(value("n"))},
          {percent(value("accuracy_against"))},
          {percent(value("accuracy"))},
          {count(value("fixed"))},
          {count(value("broke"))},
          {decimal(value("z"), 2)},
          {count(value("flips"))}};
}

// Only after `eval --precision` of another precision than the gate's.
Content precision_changes(const Json& report) {
  const Json& record = object_at(report, {"precision"});
  if (record.empty()) return Table{};
  Table table{{{"Domain"},
               {"Texts", true},
               {text_or_none(text_at(record, {"against"})), true},
               {text_or_none(text_at(record, {"precision"})), true},
               {"Fixed", true},
               {"Broke", true},
               {"z", true},
               {"Other answers", true}},
              {}};
  for (const Json& domain : array_at(record, {"domains"}))
    table.rows.push_back(change_row(text_or_none(text_at(domain, {"domain"})), domain));
  table.rows.push_back(change_row("all", object_at(record, {"overall"})));
  return table;
}

Content precision_verdict(const Json& report) {
  const Json& record = object_at(report, {"precision"});
  if (record.empty()) return std::vector<KeyFigure>{};
  const Json& reasons = array_at(record, {"reasons"});
  const std::string precision = text_or_none(text_at(record, {"precision"})),
                    against = text_or_none(text_at(record, {"against"}));
  const std::string speeds =
      count(number_at(record, {"texts_per_second"})) + " texts/s in " + precision + ", " +
      count(number_at(record, {"texts_per_second_against"})) + " in " + against;
  return std::vector<KeyFigure>{{precision + " against " + against,
                                 reasons.empty() ? "passes" : "does not pass",
                                 reasons.empty() ? speeds : list(reasons)}};
}

constexpr Part kComputeParts[] = {
    {"", "", &cost_against_accuracy, {.html = 109, .beside = true}},
    {"Compute", "", &compute, {.markdown = 100, .html = 110, .beside = true}},
    {"Cascade",
     "The gate reads an early layer; a text continues to the layers that its experts read. The "
     "answers are those of a full pass.",
     &cascade,
     {.markdown = 102, .html = 112}},
    {"", "", &precision_verdict, {.markdown = 104, .html = 114}},
    {"Precision",
     "Accuracy in both precisions on the same texts. Fixed and broke: answers that only one of "
     "them "
     "has right; z is McNemar's.",
     &precision_changes,
     {.markdown = 106, .html = 116}}};

}  // namespace

Section compute_section() { return {"compute", &compute_json, kComputeParts}; }

}  // namespace moecollab::evaluation
