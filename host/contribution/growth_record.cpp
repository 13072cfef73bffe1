#include "contribution/growth_record.h"

namespace moecollab::contribution {
namespace {

Json to_json(const AccuracyChange& change) {
  return {{"texts", change.texts}, {"before", change.before}, {"after", change.after}};
}

}  // namespace

Json to_json(const GrowthRecord& record) {
  Json weights = Json::object();
  for (const auto& [domain, weight] : record.old_weights) weights[domain] = weight;
  return {{"experts", record.experts},
          {"domain", record.domain},
          {"texts", record.texts},
          {"source", record.source},
          {"method", record.prototype ? "prototype" : "fit"},
          {"old_weights", weights},
          {"lowered_by", record.lowered_by},
          {"seed", record.seed},
          {"replay", record.replay},
          {"guard", record.unchecked.empty() ? "passed" : "not checked"},
          {"unchecked", record.unchecked}};
}

Json to_json(const GrowthResult& result) {
  Json json = {{"gate", result.gate.string()}};
  json.update(to_json(result.record));
  json["rows"] = result.rows;
  json["loss"] = result.loss ? Json(*result.loss) : Json(nullptr);
  json["iterations"] = result.iterations;
  json["fit_seconds"] = result.fit_seconds;
  json["new_domain"] = result.new_domain ? to_json(*result.new_domain) : Json(nullptr);
  json["old_domains"] = Json::object();
  for (const auto& [domain, change] : result.old_domains)
    json["old_domains"][domain] = to_json(change);
  return json;
}

}  // namespace moecollab::contribution
