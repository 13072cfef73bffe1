// Every expert of the registry: its state, its calls and its use.
#include "evaluation/report_sections.h"
#include "evaluation/report_values.h"

namespace moecollab::evaluation {
namespace {

Json experts_json(const Figures& figures) {
  Json list = Json::array();
  for (const ExpertFigures& expert : figures.experts) {
    list.push_back({{"name", expert.name},
                    {"version", text_or_null(expert.version)},
                    {"state", expert.state},
                    {"code", text_or_null(expert.code)},
                    {"sha256", text_or_null(expert.sha256)},
                    {"isolation", expert.isolation},
                    {"calls", expert.calls},
                    {"cached", expert.cached},
                    {"faults", expert.faults},
                    {"seconds", expert.seconds}});
  }
  return list;
}

// The domain of the greatest p(d|e), or nullopt.
std::optional<std::pair<std::string, double>> own_domain(const Json& report,
                                                         const std::string& expert) {
  std::optional<std::pair<std::string, double>> best;
  for (const auto& [domain, unused] :
       object_at(report, {"specialisation", "matrix", expert}).items()) {
    const auto share = number_at(report, {"specialisation", "matrix", expert, domain});
    if (share && (!best || *share > best->second)) best = {domain, *share};
  }
  return best;
}

bool contains(const Json& values, const std::string& name) {
  for (const Json& value : values) {
    if (value.is_string() && value.get_ref<const std::string&>() == name) return true;
  }
  return false;
}

Row expert_row(const Json& report, const Json& expert) {
  const std::string name = text_or_none(text_at(expert, {"name"}));
  const std::string state = text_or_none(text_at(expert, {"state"}));
  const auto faults = number_at(expert, {"faults"});
  const auto calls = number_at(expert, {"calls"});
  const auto own = own_domain(report, name);
  const bool is_idle = contains(array_at(report, {"gate", "idle"}), name);
  const bool refused = state.starts_with("refused") || state.starts_with("quarantined");
  return {
      {name, text_at(expert, {"version"}).value_or("")},
      {state, text_at(expert, {"code"}).value_or(""), {}, refused ? Tone::kWarning : Tone::kPlain},
      {text_or_none(text_at(expert, {"isolation"}))},
      {count(calls), "", {}, calls == 0.0 ? Tone::kWarning : Tone::kPlain},
      {count(faults), "", {}, faults.value_or(0) > 0 ? Tone::kWarning : Tone::kPlain},
      {decimal(number_at(report, {"gate", "load", name}), 2),
       is_idle ? "idle" : "",
       {},
       is_idle ? Tone::kWarning : Tone::kPlain},
      {own ? own->first : kNoValue, own ? percent(own->second) : ""},
      {score(number_at(report, {"specialisation", "per_expert", name}))},
      {text_at(expert, {"sha256"}).value_or(kNoValue).substr(0, 12)}};
}

Content expert_states(const Json& report) {
  Table table{{{"Expert"},
               {"State"},
               {"Isolation"},
               {"Calls", true},
               {"Faults", true},
               {"Load", true},
               {"Own domain"},
               {"Specialisation", true},
               {"SHA-256"}},
              {}};
  for (const Json& expert : array_at(report, {"experts"})) {
    table.rows.push_back(expert_row(report, expert));
  }
  return table;
}

constexpr Part kExpertsParts[] = {
    {"Experts",
     "Load: share of the gate's mass over the ideal share, 1 is ideal. Own domain: where the "
     "expert is used most, with p(d|e).",
     &expert_states,
     {.markdown = 50, .html = 50}}};

}  // namespace

Section experts_section() { return {"experts", &experts_json, kExpertsParts}; }

}  // namespace moecollab::evaluation
