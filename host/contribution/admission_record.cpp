#include "contribution/admission_record.h"

namespace moecollab::contribution {

Json to_json(const PairedChange& c) {
  return {{"n", c.n},           {"before", c.before}, {"after", c.after},
          {"change", c.change}, {"low", c.low},       {"high", c.high},
          {"z", c.z},           {"fixed", c.fixed},   {"broke", c.broke}};
}

namespace {

Json to_json(const DomainChanges& changes) {
  Json json = to_json(changes.whole);
  for (const auto& [domain, change] : changes.domains) json["domains"][domain] = to_json(change);
  return json;
}

Json to_json(const FittedGateChange& fitted) {
  Json json = to_json(fitted.changes);
  json["texts"] = fitted.texts;
  return json;
}

Json to_json(const std::vector<ExpertContribution>& contributions) {
  Json json = Json::array();
  for (const ExpertContribution& c : contributions) {
    json.push_back({{"name", c.name},
                    {"candidate", c.candidate},
                    {"leave_one_out", c.leave_one_out},
                    {"shapley", c.shapley}});
  }
  return json;
}

}  // namespace

Json to_json(const AdmissionRecord& r) {
  const Judgement& judged = r.judgement;
  const OwnDomain& own = judged.own;
  Json data = Json::object(), pool = Json::object();
  for (const AdmissionRecord::JudgedFile& file : r.data)
    data[file.domain] = {{"sha256", file.sha256}, {"texts", file.texts}};
  for (const auto& [name, sha256] : r.pool) pool[name] = sha256;
  return {{"schema", "moecollab.admission/1"},
          {"candidate",
           {{"name", r.candidate.name},
            {"id", r.candidate.id},
            {"version", r.candidate.version},
            {"sha256", r.candidate.sha256},
            {"domain", r.candidate.domain},
            {"label_space", r.candidate.label_space}}},
          {"replaces", r.replaces ? Json{{"name", r.replaces->name},
                                         {"version", r.replaces->version},
                                         {"sha256", r.replaces->sha256}}
                                  : Json(nullptr)},
          {"verdict", name(judged.verdict)},
          {"reasons", judged.reasons},
          {"texts_needed", judged.texts_needed > 0 ? Json(judged.texts_needed) : Json(nullptr)},
          {"margin", kMargin},
          {"forced_share", to_json(judged.forced)},
          {"own_domain", {{"n", own.n}, {"accuracy", own.accuracy}, {"majority", own.majority}}},
          {"fitted_gate", r.fitted_gate ? to_json(*r.fitted_gate) : Json(nullptr)},
          {"contributions", to_json(judged.contributions)},
          {"split", r.split},
          {"notes", r.notes},
          {"data", data},
          {"pool", pool},
          {"encoder", r.encoder ? Json(*r.encoder) : Json(nullptr)},
          {"seed", r.seed},
          {"permutations", r.permutations},
          {"basis", r.basis},
          {"command", r.command}};
}

}  // namespace moecollab::contribution
