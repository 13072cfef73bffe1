#include "registry/precision_record.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <stdexcept>

#include "base/error.h"
#include "base/fields.h"
#include "base/strings.h"
#include "registry/layout.h"

namespace moecollab::registry {
namespace {

constexpr const char* kSchema = "moecollab.precision/1";
constexpr size_t kMaxRecord = size_t{1} << 20;  // bytes
constexpr const char* kAgain = "remove the file, or write it again with `moecollab eval`";

Json to_json(const PrecisionChange& c) {
  return {{"n", c.n},
          {"accuracy_against", c.accuracy_against},
          {"accuracy", c.accuracy},
          {"fixed", c.fixed},
          {"broke", c.broke},
          {"z", c.z},
          {"flips", c.flips}};
}

PrecisionChange read_change(Fields& fields) {
  PrecisionChange c;
  c.n = fields.required<int64_t>("n");
  c.accuracy_against = fields.required<double>("accuracy_against");
  c.accuracy = fields.required<double>("accuracy");
  c.fixed = fields.required<int64_t>("fixed");
  c.broke = fields.required<int64_t>("broke");
  c.z = fields.required<double>("z");
  c.flips = fields.required<int64_t>("flips");
  return c;
}

Precision read_precision(Fields& fields, const char* key) {
  const auto precision = find_precision(fields.required<std::string>(key));
  if (!precision) fields.fail(key, "is not fp32, fp16, bf16 or int8", kAgain);
  return *precision;
}

PrecisionUse read_use(Fields fields) {
  PrecisionUse use;
  use.encoder = fields.required<std::string>("encoder");
  use.gate = fields.required<std::string>("gate");
  use.experts = fields.required<std::vector<std::string>>("experts");
  use.fusion = fields.required<std::string>("fusion");
  use.top_k = fields.required<int64_t>("top_k");
  use.cpu_class = fields.required<std::string>("cpu_class");
  use.kernels = fields.required<int64_t>("kernels");
  fields.finish();
  return use;
}

double read_speed(Fields& fields, const char* key) {
  const auto speed = fields.required<double>(key);
  if (!(speed > 0)) fields.fail(key, "must be greater than 0", kAgain);
  return speed;
}

template <typename Read>
auto read_table(Fields& fields, const char* key, Read&& read) {
  auto table = fields.table(key);
  if (!table) fields.fail(key, "is missing", kAgain);
  return read(*std::move(table));
}

PrecisionRecord read_record(Fields& fields) {
  if (fields.required<std::string>("schema") != kSchema)
    fields.fail("schema", fmt::format("is not {}", kSchema), kAgain);
  PrecisionRecord record;
  record.precision = read_precision(fields, "precision");
  record.against = read_precision(fields, "against");
  const bool passes = fields.required<bool>("passes");
  record.reasons = fields.required<std::vector<std::string>>("reasons");
  if (passes != record.passes()) fields.fail("passes", "and `reasons` contradict", kAgain);
  record.use = read_table(fields, "use", read_use);
  record.cpu_name = fields.required<std::string>("cpu_name");
  record.version = fields.required<std::string>("version");
  record.threads = fields.required<int64_t>("threads");
  for (Fields& domain : fields.tables("domains")) {
    PrecisionChange change = read_change(domain);
    change.domain = domain.required<std::string>("domain");
    change.data = domain.required<std::string>("data");
    domain.finish();
    record.domains.push_back(std::move(change));
  }
  record.overall = read_table(fields, "overall", [](Fields overall) {
    const PrecisionChange change = read_change(overall);
    overall.finish();
    return change;
  });
  record.texts_per_second_against = read_speed(fields, "texts_per_second_against");
  record.texts_per_second = read_speed(fields, "texts_per_second");
  fields.any("command");
  fields.finish();
  return record;
}

}  // namespace

Json to_json(const PrecisionRecord& r) {
  Json domains = Json::array();
  for (const PrecisionChange& change : r.domains) {
    Json domain = {{"domain", change.domain}, {"data", change.data}};
    domain.update(to_json(change));
    domains.push_back(std::move(domain));
  }
  return {{"schema", kSchema},
          {"precision", name(r.precision)},
          {"against", name(r.against)},
          {"passes", r.passes()},
          {"reasons", r.reasons},
          {"use",
           {{"encoder", r.use.encoder},
            {"gate", r.use.gate},
            {"experts", r.use.experts},
            {"fusion", r.use.fusion},
            {"top_k", r.use.top_k},
            {"cpu_class", r.use.cpu_class},
            {"kernels", r.use.kernels}}},
          {"cpu_name", r.cpu_name},
          {"version", r.version},
          {"threads", r.threads},
          {"domains", std::move(domains)},
          {"overall", to_json(r.overall)},
          {"texts_per_second_against", r.texts_per_second_against},
          {"texts_per_second", r.texts_per_second}};
}

std::optional<PrecisionRecord> read_precision_record(const fs::path& registry, Precision precision,
                                                     const std::string& cpu_class) {
  const fs::path path = precision_file(registry, name(precision), cpu_class);
  if (!fs::exists(path)) return std::nullopt;
  const std::string file = escaped(path.string());
  Json json;
  try {
    json = parse_json(read_file(path, "E_REG_IO", kMaxRecord));
  } catch (const std::invalid_argument& error) {
    throw Error("E_REG_SYNTAX", fmt::format("{}: {}", file, error.what()), kAgain);
  }
  Fields fields(json, {file, "E_REG_SCHEMA"});
  PrecisionRecord record = read_record(fields);
  if (record.precision != precision)
    fields.fail("precision", fmt::format("is not {}, as the file's name says", name(precision)),
                kAgain);
  return record;
}

std::string objection(const PrecisionRecord& record, const PrecisionUse& use) {
  const auto other = [&](const char* what) {
    return fmt::format("the record of {} is of another {}", name(record.precision), what);
  };
  const PrecisionUse& of = record.use;
  if (of.encoder != use.encoder) return other("encoder");
  if (of.gate != use.gate) return other("gate");
  if (of.experts != use.experts) return other("choice of experts");
  if (of.fusion != use.fusion || of.top_k != use.top_k) return other("fusion or top-k");
  if (of.cpu_class != use.cpu_class) return other("class of CPU");
  if (of.kernels != use.kernels) return other("version of the encoder's kernels");
  if (record.passes()) return "";
  return fmt::format("{} did not pass: {}", name(record.precision),
                     fmt::join(record.reasons, "; "));
}

PrecisionChoice choose_precision(const std::vector<PrecisionRecord>& records,
                                 const PrecisionUse& use, Precision fitted) {
  const PrecisionRecord* best = nullptr;
  std::vector<std::string> objections;
  for (const PrecisionRecord& record : records) {
    const std::string why_not =
        record.against != fitted  ? fmt::format("the record of {} is against {}",
                                                name(record.precision), name(record.against))
        : record.speedup() <= 1.0 ? fmt::format("{} is not faster", name(record.precision))
                                  : objection(record, use);
    if (!why_not.empty()) {
      objections.push_back(why_not);
    } else if (best == nullptr || record.speedup() > best->speedup()) {
      best = &record;
    }
  }
  if (best != nullptr) {
    return {best->precision,
            fmt::format("precision auto: {}, by its record {:.2f} times as fast as {} and "
                        "accurate enough for this gate on {} CPUs",
                        name(best->precision), best->speedup(), name(fitted), use.cpu_class)};
  }
  if (objections.empty())
    objections.push_back("no other precision has a record for this class of CPU");
  return {fitted, fmt::format("precision auto: {}: {}", name(fitted), fmt::join(objections, "; "))};
}

}  // namespace moecollab::registry
