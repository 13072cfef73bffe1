#include "pipeline/gate_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <stdexcept>

#include "base/digest.h"
#include "base/error.h"
#include "base/fields.h"
#include "base/strings.h"
#include "base/toml.h"
#include "encoder/tensor_io.h"
#include "registry/history.h"
#include "registry/registry_state.h"

namespace moecollab::pipeline {
namespace {

at::Tensor load(const weights::Safetensors& file, const char* name,
                const std::vector<int64_t>& shape) {
  const weights::TensorView* view = file.find(name);
  if (view == nullptr || view->shape != shape) {
    throw Error("E_GATE",
                fmt::format("{}: tensor {} is missing or not [{}]", escaped(file.file()), name,
                            fmt::join(shape, ", ")),
                kRefit);
  }
  return encoder::to_tensor(*view);
}

// [objective]: the weights of eq 3 always, what is off by default only if it is on.
Json objective_to_json(const GateFile& file) {
  const gate::ObjectiveOptions& o = file.objective;
  Json json = {{"lambda1", o.lambda1}, {"lambda2", o.lambda2}};
  if (o.entropy_sign != gate::EntropySign::kLiteral)
    json["entropy_sign"] = gate::name(o.entropy_sign);
  if (o.balance_window > 1) json["balance_window"] = o.balance_window;
  const std::pair<const char*, double> further[] = {{"free_bits", o.free_bits},
                                                    {"switch", o.switch_load},
                                                    {"importance_cv2", o.importance_cv2},
                                                    {"z_loss", o.z_loss}};
  for (const auto& [name, value] : further) {
    if (value > 0) json[name] = value;
  }
  if (!file.prior.empty()) json["prior"] = file.prior;
  return json;
}

// The word at `key` as another stage reads it; what that stage refuses is this file's fault.
template <typename Parse>
auto read_word(const Fields& fields, const std::string& key, const std::string& word,
               Parse&& parse) {
  try {
    return parse(word);
  } catch (const Error&) {
    fields.fail(key, fmt::format("is \"{}\", which this version does not know", escaped(word, 40)),
                kRefit);
  }
}

// What other stages read of [metrics] without looking at its type.
void check_metrics(const Fields& fields, const Json& metrics) {
  const auto expect = [&](const char* key, bool (Json::*is)() const noexcept, const char* what) {
    const auto found = metrics.find(key);
    if (found != metrics.end() && !((*found).*is)())
      fields.fail(fmt::format("metrics.{}", key), fmt::format("must be {}", what), kRefit);
  };
  if (metrics.is_null()) return;
  if (!metrics.is_object()) fields.fail("metrics", "must be a table", kRefit);
  expect("replay_sha256", &Json::is_string, "a string");
  expect("expert_accuracy", &Json::is_object, "a table");
  expect("expert_texts", &Json::is_object, "a table");
  expect("growth", &Json::is_array, "an array");
  expect("profile", &Json::is_object, "a table");
  expect("entropy_percentiles", &Json::is_array, "an array");
  const auto percentiles = metrics.find("entropy_percentiles");
  if (percentiles == metrics.end()) return;
  for (const Json& value : *percentiles)
    if (!value.is_number()) fields.fail("metrics.entropy_percentiles", "must hold numbers", kRefit);
}

void read_objective(Fields& fields, GateFile& file) {
  gate::ObjectiveOptions& o = file.objective;
  o.lambda1 = fields.required<double>("lambda1");
  o.lambda2 = fields.required<double>("lambda2");
  o.entropy_sign =
      read_word(fields, "entropy_sign", fields.value_or<std::string>("entropy_sign", "literal"),
                [](const std::string& word) { return gate::parse_entropy_sign(word, "it"); });
  o.balance_window = fields.value_or<int64_t>("balance_window", 0);
  o.free_bits = fields.value_or<double>("free_bits", 0.0);
  o.switch_load = fields.value_or<double>("switch", 0.0);
  o.importance_cv2 = fields.value_or<double>("importance_cv2", 0.0);
  o.z_loss = fields.value_or<double>("z_loss", 0.0);
  const Json prior = fields.any("prior");
  for (const Json& share : prior) {
    if (!share.is_number()) fields.fail("prior", "must hold numbers", kRefit);
    file.prior.push_back(share.get<double>());
  }
  fields.finish();
}

// What the gate reads, and whether texts may stop there.
void read_features(Fields& fields, GateFile& file) {
  for (Fields& feature : fields.tables("feature")) {
    const auto pooling = encoder::parse_pooling(feature.required<std::string>("pooling"));
    if (!pooling) feature.fail("pooling", "is not mean or cls", kRefit);
    file.gate.features.push_back({static_cast<int>(feature.required<int64_t>("layer")), *pooling});
    feature.finish();
  }
  if (file.gate.features.empty())
    fields.fail("feature", "is missing: the gate reads no layer", kRefit);
  const auto layer = fields.optional<int64_t>("gate_layer");
  file.layer_was_chosen = layer.has_value();
  if (layer && *layer != file.gate.layer()) {
    fields.fail(
        "gate_layer",
        fmt::format("is {}, the deepest [[feature]] is of layer {}", *layer, file.gate.layer()),
        kRefit);
  }
}

void read_data(Fields& fields, GateFile& file) {
  const Json data = fields.any("data");
  for (const auto& [domain, sha256] : data.items()) {
    if (!sha256.is_string())
      fields.fail("data", fmt::format("has no digest for {}", escaped(domain, 80)), kRefit);
    file.data[domain] = sha256.get<std::string>();
  }
}

// Numbers the spaces of the rows in the order in which they come.
std::vector<int64_t> spaces_of(const std::vector<GateRow>& rows) {
  std::vector<std::string> names;
  std::vector<int64_t> spaces;
  for (const GateRow& row : rows) {
    const auto found = std::ranges::find(names, row.space);
    spaces.push_back(found - names.begin());
    if (found == names.end()) names.push_back(row.space);
  }
  return spaces;
}

// mean, std, and the parameters: hidden.* only in a gate with a hidden layer, space.* only in one
// of two factors.
void load_tensors(const weights::Safetensors& tensors, const std::string& kind,
                  const std::vector<GateRow>& rows, gate::Gate& gate) {
  const auto experts = static_cast<int64_t>(rows.size());
  const bool mlp = kind == "mlp";
  const auto rows_of = [&](const char* name) {
    const weights::TensorView* view = tensors.find(name);
    return view == nullptr || view->shape.empty() ? int64_t{0} : view->shape[0];
  };
  const int64_t inputs = rows_of("mean");
  gate.mean = load(tensors, "mean", {inputs});
  gate.std = load(tensors, "std", {inputs});
  const int64_t hidden = mlp ? rows_of("hidden.bias") : 0;
  if (mlp) {
    gate.hidden_weight = load(tensors, "hidden.weight", {hidden, inputs});
    gate.hidden_bias = load(tensors, "hidden.bias", {hidden});
  }
  if (kind == "factored") {
    gate.spaces = spaces_of(rows);
    const int64_t spaces = 1 + std::ranges::max(gate.spaces);
    gate.space_weight = load(tensors, "space.weight", {spaces, inputs});
    gate.space_bias = load(tensors, "space.bias", {spaces});
  }
  gate.weight = load(tensors, "weight", {experts, mlp ? hidden : inputs});
  gate.bias = load(tensors, "bias", {experts});
}

Json row_to_json(const GateRow& row, bool factored) {
  Json json = {{"name", row.name},
               {"id", row.id},
               {"version", row.version},
               {"sha256", row.sha256},
               {"temperature", row.temperature},
               {"heldout", row.heldout_known ? "known" : "unknown"}};
  if (factored) json.update({{"space", row.space}, {"pool", fusion::name(row.pool)}});
  return json;
}

GateRow read_row(Fields& fields, bool factored) {
  GateRow row;
  row.name = fields.required<std::string>("name");
  row.id = fields.required<std::string>("id");
  row.version = fields.required<std::string>("version");
  row.sha256 = fields.required<std::string>("sha256");
  row.temperature = fields.required<double>("temperature");
  if (!(row.temperature > 0)) fields.fail("temperature", "must be greater than 0");
  row.heldout_known = fields.required<std::string>("heldout") == "known";
  if (factored) {
    row.space = fields.required<std::string>("space");
    row.pool =
        read_word(fields, "pool", fields.required<std::string>("pool"), fusion::parse_opinion_pool);
  }
  fields.finish();
  return row;
}

const char* kind_of(const gate::Gate& gate) {
  if (gate.is_factored()) return "factored";
  return gate.is_mlp() ? "mlp" : "linear";
}

void read_rows(Fields& fields, bool factored, GateFile& file) {
  for (Fields& row : fields.tables("expert")) file.rows.push_back(read_row(row, factored));
  if (file.rows.empty()) fields.fail("expert", "is missing: the gate has no row", kRefit);
  std::set<std::string> names;
  for (const GateRow& row : file.rows)
    if (!names.insert(row.name).second)
      fields.fail("expert", fmt::format("has two rows for {}", escaped(row.name)), kRefit);
}

}  // namespace

fs::path tensor_file(const fs::path& registry, const fs::path& file, const std::string& sha256) {
  const std::string seen = fs::exists(file) ? file_sha256_hex(file, "E_GATE") : "missing";
  const fs::path kept = registry::object_file(registry, sha256);
  const bool is_kept =
      !sha256.empty() && fs::exists(kept) && file_sha256_hex(kept, "E_GATE") == sha256;
  // What the history has never changes; the file may be replaced before it is opened.
  if (seen == sha256) return is_kept ? kept : file;
  // What the history knows is whole, and of another state: the gate is being changed.
  const bool other_state = seen == "missing" || fs::exists(registry::object_file(registry, seen));
  if (other_state && is_kept) return kept;
  throw Error("E_GATE",
              fmt::format("{}: SHA-256 is {}, gate.toml says {}", escaped(file.string()), seen,
                          sha256.empty() ? "nothing of it" : sha256),
              kPutBackOrRefit);
}

void remove_row(GateFile& file, size_t row) {
  const std::string name = file.rows.at(row).name;
  if (file.rows.size() == 1)
    throw Error("E_GATE", fmt::format("the gate has no row but that of {}", name), kRefit);
  std::vector<int64_t> kept;
  for (size_t e = 0; e < file.rows.size(); ++e)
    if (e != row) kept.push_back(static_cast<int64_t>(e));
  file.gate = gate::with_experts(file.gate, kept);
  file.rows.erase(file.rows.begin() + static_cast<int64_t>(row));
  if (!file.prior.empty()) {
    file.prior.erase(file.prior.begin() + static_cast<int64_t>(row));
    const double sum = std::accumulate(file.prior.begin(), file.prior.end(), 0.0);
    for (double& share : file.prior) share /= sum;
  }
  for (const char* of_experts : {"expert_accuracy", "expert_texts", "share_guard"})
    if (file.metrics.contains(of_experts)) file.metrics[of_experts].erase(name);
  if (file.metrics.is_object()) file.metrics.erase("profile");  // of a gate that had the row
}

void write_gate(const fs::path& folder, const GateFile& file) {
  make_folder(registry::gate_folder(folder));
  const gate::Gate& g = file.gate;
  std::vector<weights::TensorSource> tensors = {
      encoder::source_of("mean", g.mean), encoder::source_of("std", g.std),
      encoder::source_of("weight", g.weight), encoder::source_of("bias", g.bias)};
  if (g.is_mlp()) {
    tensors.push_back(encoder::source_of("hidden.weight", g.hidden_weight));
    tensors.push_back(encoder::source_of("hidden.bias", g.hidden_bias));
  }
  if (g.is_factored()) {
    if (g.spaces != spaces_of(file.rows))
      throw std::logic_error("write_gate: spaces stand in another order than the rows name them");
    tensors.push_back(encoder::source_of("space.weight", g.space_weight));
    tensors.push_back(encoder::source_of("space.bias", g.space_bias));
  }
  weights::write_safetensors(registry::gate_tensors(folder), tensors);
  Json rows = Json::array(), features = Json::array();
  for (const GateRow& row : file.rows) rows.push_back(row_to_json(row, g.is_factored()));
  for (const encoder::PooledKey& key : g.features)
    features.push_back({{"layer", key.layer}, {"pooling", encoder::name(key.pooling)}});
  Json document = {{"schema", 1},
                   {"encoder", file.encoder_fingerprint},
                   {"precision", name(file.precision)},
                   {"gate", kind_of(g)},
                   {"fusion", fusion::name(file.fusion)},
                   {"top_k", file.top_k},
                   {"seed", file.seed},
                   {"tensors_sha256", file_sha256_hex(registry::gate_tensors(folder), "E_GATE")},
                   {"feature", features},
                   {"objective", objective_to_json(file)},
                   {"data", file.data},
                   {"metrics", file.metrics},
                   {"fit", file.fit},
                   {"expert", rows}};
  if (file.device != DeviceType::kCpu) document["device"] = name(file.device);
  if (file.layer_was_chosen) document["gate_layer"] = g.layer();
  write_file_atomic(registry::gate_file(folder),
                    "# Written by `moecollab train-gate`.\n" + to_toml(document));
}

namespace {

TomlDocument read_text(const std::string& text, const std::string& shown_name) {
  try {
    return parse_toml(text, shown_name, "E_GATE", 8 << 20);
  } catch (const Error& error) {
    throw Error(error.code(), error.what(), kPutBackOrRefit);
  }
}

GateFile parse_gate(const std::optional<std::string>& text, const fs::path& registry) {
  const std::string shown_name = shown(registry::gate_file(registry));
  if (!text) {
    throw Error("E_GATE", fmt::format("{}: there is no fitted gate", shown_name),
                "fit one with `moecollab train-gate`");
  }
  const TomlDocument document = read_text(*text, shown_name);
  Fields fields(document.root, {shown_name, "E_GATE", &document.lines});
  if (fields.required<int64_t>("schema") != 1)
    fields.fail("schema", "is not 1, the one that this version reads", kRefit);
  GateFile file;
  file.sha256 = sha256_hex(*text);
  file.encoder_fingerprint = fields.required<std::string>("encoder");
  // Gates written before there was a choice were fitted in fp32, and are linear.
  if (const auto word = fields.optional<std::string>("precision")) {
    const std::optional<Precision> precision = find_precision(*word);
    if (!precision) fields.fail("precision", "is not fp32, fp16, bf16 or int8", kRefit);
    file.precision = *precision;
  }
  // Gates that say nothing were fitted on features of a CPU.
  if (const auto word = fields.optional<std::string>("device")) {
    if (*word != name(DeviceType::kCuda))
      fields.fail("device", "is no GPU of this version", kRefit);
    file.device = DeviceType::kCuda;
  }
  const std::string kind = fields.value_or<std::string>("gate", "linear");
  if (kind != "linear" && kind != "mlp" && kind != "factored")
    fields.fail("gate", "is not linear, mlp or factored", kRefit);
  file.fusion =
      read_word(fields, "fusion", fields.required<std::string>("fusion"), fusion::parse_mode);
  file.top_k = fields.required<int64_t>("top_k");
  file.seed = static_cast<uint64_t>(fields.required<int64_t>("seed"));
  const auto digest = fields.required<std::string>("tensors_sha256");
  read_features(fields, file);
  auto objective = fields.table("objective");
  if (!objective) fields.fail("objective", "is missing", kRefit);
  read_objective(*objective, file);
  read_data(fields, file);
  file.metrics = fields.any("metrics");
  check_metrics(fields, file.metrics);
  if (Json fit = fields.any("fit"); !fit.is_null()) file.fit = std::move(fit);
  read_rows(fields, kind == "factored", file);
  if (!file.prior.empty() && file.prior.size() != file.rows.size()) {
    fields.fail("objective.prior",
                fmt::format("has {} shares for {} experts", file.prior.size(), file.rows.size()),
                kRefit);
  }
  fields.finish();

  load_tensors(
      weights::Safetensors::open(tensor_file(registry, registry::gate_tensors(registry), digest)),
      kind, file.rows, file.gate);
  return file;
}

}  // namespace

GateFile read_gate(const fs::path& registry) {
  return parse_gate(registry::read_state_file(registry, registry::kGateText), registry);
}

GateFile read_gate(const Pool& pool) {
  return parse_gate(pool.state().gate, pool.options().registry);
}

}  // namespace moecollab::pipeline
