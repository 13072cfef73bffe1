// What the figures depend on.
#include "evaluation/report_sections.h"
#include "evaluation/report_values.h"

namespace moecollab::evaluation {
namespace {

Json provenance_json(const Figures& figures) {
  Json data = Json::object(), overlap = Json::object();
  for (const DomainFigures& domain : figures.domains) {
    data[domain.domain] = domain.sha256;
    overlap[domain.domain] = domain.train_overlap ? Json(*domain.train_overlap) : Json(nullptr);
  }
  const ProvenanceFigures& from = figures.provenance;
  return {{"version", from.version},
          {"libtorch", from.libtorch},
          {"device", from.device},
          {"precision", from.precision},
          {"threads", from.threads},
          {"seed", from.seed},
          {"encoder_sha256", from.encoder_sha256},
          {"registry_lock_sha256", text_or_null(from.registry_lock_sha256)},
          {"data", data},
          {"train_overlap", overlap},
          {"command", from.command}};
}

Content provenance(const Json& report) {
  const Json& from = object_at(report, {"provenance"});
  Table table{{{"What"}, {"Value"}}, {}};
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

constexpr Part kProvenanceParts[] = {
    {"Provenance", "", &provenance, {.markdown = 140, .html = 140}}};

}  // namespace

Section provenance_section() { return {"provenance", &provenance_json, kProvenanceParts}; }

}  // namespace moecollab::evaluation
