#include "registry/registry_file.h"

#include <fmt/format.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "base/error.h"
#include "base/fields.h"
#include "base/strings.h"
#include "base/toml.h"
#include "registry/labels.h"
#include "registry/minisign.h"
#include "registry/names.h"
#include "registry/records.h"
#include "registry/registry_state.h"
#include "registry/shapes.h"

namespace moecollab::registry {
namespace {

// A weight as a share of 1, if there is one.
void require_share(Fields& table, const std::string& key, const std::optional<double>& share) {
  if (share && !table.in_bounds(key, *share))
    table.fail(key, fmt::format("must be above 0 and at most 1, not {}", *share));
}

EncoderEntry read_encoder(Fields table) {
  EncoderEntry encoder;
  encoder.path = table.required<std::string>("path");
  encoder.max_length = table.optional<int64_t>("max_length");
  encoder.special_tokens = choice(table, "special_tokens_in_text", encoder.special_tokens);
  if (const auto fingerprint = table.optional<std::string>("fingerprint")) {
    check_digest(table, "fingerprint", *fingerprint);
    encoder.fingerprint = *fingerprint;
  }
  table.finish();
  if (!kPrintableShape.fits(encoder.path)) {
    table.fail("path", "must be the encoder's folder");
  }
  if (encoder.max_length &&
      !table.in_bounds("max_length", static_cast<double>(*encoder.max_length))) {
    table.fail("max_length", fmt::format("must be at least 3 tokens ([CLS], one, [SEP]), not {}",
                                         *encoder.max_length));
  }
  return encoder;
}

std::map<std::string, std::string> read_domains(Fields table) {
  std::map<std::string, std::string> domains;
  for (const std::string& domain : table.keys()) {
    if (!is_name(domain)) table.fail(domain, "is no domain name: 1 to 64 of a-z, 0-9, _ and -");
    domains[domain] = required_label_space(table, domain);
  }
  return domains;
}

DomainData read_domain_data(Fields table) {
  using Names = std::vector<std::string>;
  DomainData data;
  data.format = choice(table, "format", data.format);
  data.quoting = choice(table, "quoting", data.quoting);
  for (const auto& [key, column] : {std::pair("text_column", &data.text_column),
                                    std::pair("label_column", &data.label_column)}) {
    const auto given = table.optional<std::string>(key);
    if (given && !kPrintableShape.fits(*given)) table.fail(key, "must be a column's name");
    *column = given.value_or("");
  }
  data.label_base = table.optional<int64_t>("label_base").value_or(0);
  for (const auto& [key, names] :
       {std::pair("columns", &data.columns), std::pair("join", &data.join),
        std::pair("label_names", &data.label_names)}) {
    const auto given = table.optional<Names>(key);
    if (!given) continue;
    if (given->empty()) table.fail(key, "is empty");
    if (const auto fault = find_fault(*given))
      table.fail(key, fmt::format("item {}: {}", fault->index + 1, fault->what));
    *names = *given;
  }
  table.finish();
  return data;
}

std::map<std::string, DomainData> read_data(Fields table) {
  std::map<std::string, DomainData> data;
  for (const std::string& domain : table.keys()) {
    if (!is_name(domain)) table.fail(domain, "is no domain name: 1 to 64 of a-z, 0-9, _ and -");
    data[domain] = read_domain_data(*table.table(domain));
  }
  return data;
}

LabelSpace read_label_space(Fields table) {
  LabelSpace space{required_label_space(table, "name"),
                   table.required<std::vector<std::string>>("labels")};
  table.finish();
  if (space.labels.empty()) table.fail("labels", "is empty");
  if (const auto fault = find_fault(space.labels)) {
    table.fail("labels", fmt::format("item {}: {}", fault->index + 1, fault->what));
  }
  return space;
}

// The key's value, within the bounds of its record.
int64_t bounded(Fields& table, const char* name, int64_t fallback) {
  const int64_t value = table.value_or(name, fallback);
  const Key& key = table.declared(name);
  if (!table.in_bounds(name, static_cast<double>(value)))
    table.fail(name, fmt::format("must be {:.0f} to {:.0f}, not {}", *key.least, *key.most, value));
  return value;
}

Policy read_policy(Fields table) {
  Policy policy;
  policy.on_missing = choice(table, "on_missing", policy.on_missing);
  policy.nan = choice(table, "nan", policy.nan);
  policy.on_expert_failure = choice(table, "on_expert_failure", policy.on_expert_failure);
  policy.isolation = choice(table, "isolation", policy.isolation);
  policy.call_deadline_ms = bounded(table, "call_deadline_ms", policy.call_deadline_ms);
  policy.expert_memory_mb = bounded(table, "expert_memory_mb", policy.expert_memory_mb);
  policy.conformance = bounded(table, "conformance", policy.conformance);
  policy.admission = choice(table, "admission", policy.admission);
  policy.probation_weight_cap = table.optional<double>("probation_weight_cap");
  require_share(table, "probation_weight_cap", policy.probation_weight_cap);
  policy.require_signature = table.value_or("require_signature", policy.require_signature);
  table.finish();
  return policy;
}

TrustEntry read_trust(Fields table) {
  TrustEntry entry;
  entry.publisher = table.required<std::string>("publisher");
  entry.key = table.required<std::string>("key");
  try {
    PublicKey::parse(entry.key);
  } catch (const Error& error) {
    table.fail("key", error.what(), error.hint());
  }
  if (const auto scope = table.optional<std::vector<std::string>>("scope")) {
    if (scope->empty()) table.fail("scope", "is empty: nothing could be signed");
    if (const auto fault = find_fault(*scope))
      table.fail("scope", fmt::format("item {}: {}", fault->index + 1, fault->what));
    entry.scope = *scope;
  }
  if (const auto expires = table.optional<std::string>("expires")) {
    if (!kDateShape.fits(*expires)) table.fail("expires", "must be a day, as in \"2027-12-31\"");
    entry.expires = *expires;
  }
  table.finish();
  return entry;
}

RevokedEntry read_revoked(Fields table) {
  RevokedEntry revoked;
  revoked.keys = table.value_or("keys", revoked.keys);
  revoked.packages = table.value_or("packages", revoked.packages);
  table.finish();
  for (const std::string& key : revoked.keys)
    if (!kPublicKeyShape.fits(key)) table.fail("keys", "must hold minisign public keys");
  for (const std::string& package : revoked.packages)
    if (!is_digest(package)) table.fail("packages", "must hold SHA-256 digests of expert.toml");
  for (const auto& [name, list] :
       {std::pair("keys", &revoked.keys), std::pair("packages", &revoked.packages)})
    if (const auto fault = find_fault(*list))
      table.fail(name, fmt::format("item {}: {}", fault->index + 1, fault->what));
  return revoked;
}

std::optional<Version> read_pin(Fields& table, const VersionRange& range) {
  const auto text = table.optional<std::string>("pin");
  if (!text) return std::nullopt;
  Version pin;
  try {
    pin = Version::parse(*text);
  } catch (const std::invalid_argument& error) {
    table.fail("pin", error.what());
  }
  if (range.contains(pin)) return pin;
  table.fail("pin", fmt::format("is {}, which is not in the range of `version`, {}", pin.text(),
                                range.text()));
}

VersionRange read_range(Fields& table) {
  try {
    return VersionRange::parse(table.value_or<std::string>("version", "*"));
  } catch (const std::invalid_argument& error) {
    table.fail("version", error.what());
  }
}

ExpertEntry read_expert_entry(Fields table) {
  ExpertEntry entry;
  entry.name = required_name(table, "name");
  entry.id = required_id(table, "id");
  entry.version = read_range(table);
  entry.pin = read_pin(table, entry.version);
  entry.enabled = table.value_or("enabled", true);
  entry.required = table.value_or("required", false);
  entry.weight_cap = table.optional<double>("weight_cap");
  refuse_later_keys(table);
  table.table("config");  // refuses what is no table
  if (Json config = table.any("config"); !config.is_null()) entry.config = std::move(config);
  table.finish();
  require_share(table, "weight_cap", entry.weight_cap);
  return entry;
}

GateEntry read_gate(Fields table) {
  GateEntry gate;
  if (const auto fusion = table.optional<std::string>("fusion"))
    gate.fusion = choice(table, "fusion", *fusion);
  if (const auto top_k = table.optional<int64_t>("top_k")) {
    if (!table.in_bounds("top_k", static_cast<double>(*top_k)))
      table.fail("top_k", fmt::format("must be at least 1, not {}", *top_k));
    gate.top_k = *top_k;
  }
  table.finish();
  return gate;
}

// Reads each table of an array and refuses a second one of the same name.
template <typename Item>
std::vector<Item> read_named(Fields& root, const std::string& key, Item (*read)(Fields)) {
  std::vector<Item> items;
  std::map<std::string, size_t> seen;
  for (const Fields& table : root.tables(key)) {
    items.push_back(read(table));
    const std::string& name = items.back().name;
    if (const auto [first, fresh] = seen.emplace(name, items.size()); !fresh) {
      table.fail("name", fmt::format("\"{}\" stands twice: in [[{}]] {} and {}", name, key,
                                     first->second, items.size()));
    }
  }
  return items;
}

}  // namespace

RegistryFile parse_registry(std::string_view bytes, const std::string& file) {
  const TomlDocument document = parse_toml(bytes, file, "E_REG", kMaxRegistry);
  RegistryFile registry;
  if (document.root.empty()) return registry;
  Fields root(document.root, {file, kSchemaCode, &document.lines, &registry_record()});
  check_schema(root);
  if (auto table = root.table("encoder")) registry.encoder = read_encoder(*std::move(table));
  if (auto table = root.table("domains")) registry.domains = read_domains(*std::move(table));
  if (auto table = root.table("data")) registry.data = read_data(*std::move(table));
  registry.label_spaces = read_named(root, "label_space", read_label_space);
  if (auto table = root.table("policy")) registry.policy = read_policy(*std::move(table));
  registry.experts = read_named(root, "expert", read_expert_entry);
  if (auto table = root.table("gate")) registry.gate = read_gate(*std::move(table));
  for (Fields& table : root.tables("trust")) registry.trust.push_back(read_trust(std::move(table)));
  if (auto table = root.table("revoked")) registry.revoked = read_revoked(*std::move(table));
  root.finish();
  return registry;
}

fs::path registry_path(const fs::path& folder) {
  fs::path path = folder / kRegistryFile;
  std::error_code error;
  if (!fs::is_symlink(path, error)) return path;
  fs::path target = fs::canonical(path, error);
  if (!error) return target;
  throw Error("E_REG_IO",
              fmt::format("{} is a symbolic link to {}, which cannot be reached: {}", shown(path),
                          shown(fs::read_symlink(path)), error.message()),
              "correct the link, or remove it");
}

std::string registry_text(const fs::path& folder) {
  std::error_code error;
  const fs::file_status status = fs::status(folder, error);
  if (!fs::is_directory(status)) {
    const int reason = fs::exists(status) ? ENOTDIR : error ? error.value() : ENOENT;
    throw Error("E_REG_IO",
                fmt::format("registry {} cannot be read: {}", escaped(folder.string()),
                            std::strerror(reason)),
                kHowToNameOne);
  }
  const fs::path path = registry_path(folder);
  if (!fs::exists(path, error)) {
    throw Error("E_REG_IO",
                fmt::format("{} cannot be read: {}", escaped(path.string()), std::strerror(ENOENT)),
                kHowToNameOne);
  }
  // Asked first, so that a file of any size is refused for its size and never read.
  const auto size = fs::is_regular_file(path, error) ? fs::file_size(path, error) : 0;
  if (!error && size > kMaxRegistry) {
    throw Error("E_REG_SIZE", fmt::format("{}: {} bytes, more than the {} allowed",
                                          escaped(path.string()), size, kMaxRegistry));
  }
  return read_file(path, "E_REG_IO", kMaxRegistry);
}

RegistryFile read_registry(const fs::path& folder) {
  return parse_registry(*read_state_file(folder, kRegistryFile), shown(folder / kRegistryFile));
}

}  // namespace moecollab::registry
