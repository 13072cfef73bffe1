#include "training/gate_fit_record.h"

#include "base/fields.h"

namespace moecollab::training {
namespace {

Json fit_json(const GateTrainingOptions& settings) {
  Json json = {{"epochs", settings.epochs},
               {"lr", settings.lr},
               {"weight_decay", settings.weight_decay},
               {"batch", settings.batch},
               {"optimizer", name(settings.optimizer)},
               {"hidden", settings.hidden},
               {"prior", settings.prior_source},
               {"calibrate", settings.calibrate},
               {"keep_replay", settings.keep_replay}};
  if (settings.choose_top_k) json["choose_top_k"] = true;
  if (!settings.guard) json["guard"] = false;
  return json;
}

Json metrics_json(const GateFitRecord& record) {
  Json accuracies = Json::object();
  for (const auto& [expert, accuracy] : record.expert_accuracy) accuracies[expert] = accuracy;
  Json texts = Json::object();
  for (const auto& [expert, count] : record.expert_texts) texts[expert] = count;
  Json json = {{"texts", record.texts},
               {"epochs", record.epochs},
               {"optimizer", name(record.settings.optimizer)},
               {"skipped_steps", record.skipped_steps},
               {"task", record.task},
               {"entropy", record.entropy},
               {"balance", record.balance},
               {"total", record.total},
               {"expert_accuracy", accuracies},
               {"expert_texts", texts},
               {"entropy_percentiles", record.entropy_percentiles}};
  if (record.validation_task) json["validation_task"] = *record.validation_task;
  if (record.top_k_choice) {
    json["top_k_auto"] = {{"texts", record.top_k_choice->texts},
                          {"accuracy", record.top_k_choice->accuracy}};
  }
  for (const auto& [expert, guard] : record.share_guards)
    json["share_guard"][expert] = to_json(guard);
  if (!record.profiles.empty()) json["profile"] = evaluation::to_json(record.profiles);
  if (!record.replay_sha256.empty()) json["replay_sha256"] = record.replay_sha256;
  return json;
}

// A table of gate.toml; earlier versions wrote fewer keys, and `grow` adds some, so none must be
// there and more may be.
Fields table_of(const Json& table, const char* path) {
  return {table.is_object() ? table : Json::object(), {"gate.toml", "E_GATE"}, path};
}

void read_fit(Fields fields, GateTrainingOptions& settings) {
  settings.epochs = static_cast<int32_t>(fields.value_or<int64_t>("epochs", settings.epochs));
  settings.lr = fields.value_or("lr", settings.lr);
  settings.weight_decay = fields.value_or("weight_decay", settings.weight_decay);
  settings.batch = fields.value_or("batch", settings.batch);
  if (const auto word = fields.optional<std::string>("optimizer"))
    settings.optimizer = parse_gate_optimizer(*word);
  settings.hidden = fields.value_or("hidden", settings.hidden);
  settings.prior_source = fields.value_or("prior", settings.prior_source);
  settings.calibrate = fields.value_or("calibrate", settings.calibrate);
  settings.keep_replay = fields.value_or("keep_replay", settings.keep_replay);
  settings.choose_top_k = fields.value_or("choose_top_k", settings.choose_top_k);
  settings.guard = fields.value_or("guard", settings.guard);
}

std::vector<double> read_numbers(Fields& fields, const char* key) {
  std::vector<double> numbers;
  for (const Json& value : fields.any(key)) {
    if (!value.is_number()) fields.fail(key, "must hold numbers");
    numbers.push_back(value.get<double>());
  }
  return numbers;
}

TopKChoice read_choice(Fields fields, int64_t stored_top_k) {
  TopKChoice choice;
  choice.texts = fields.required<int64_t>("texts");
  choice.accuracy = read_numbers(fields, "accuracy");
  choice.top_k = stored_top_k == 0 ? static_cast<int64_t>(choice.accuracy.size()) : stored_top_k;
  return choice;
}

ShareGuard read_guard(Fields fields) {
  ShareGuard guard;
  guard.texts = fields.required<int64_t>("texts");
  guard.best = fields.required<double>("best");
  guard.before = fields.required<double>("before");
  guard.after = fields.required<double>("after");
  guard.pull = fields.required<double>("pull");
  return guard;
}

void read_metrics(Fields fields, GateFitRecord& record) {
  record.texts = fields.value_or<int64_t>("texts", 0);
  record.epochs = static_cast<int32_t>(fields.value_or<int64_t>("epochs", 0));
  record.skipped_steps = fields.value_or<int64_t>("skipped_steps", 0);
  record.task = fields.value_or("task", 0.0);
  record.entropy = fields.value_or("entropy", 0.0);
  record.balance = fields.value_or("balance", 0.0);
  record.total = fields.value_or("total", 0.0);
  if (auto accuracies = fields.table("expert_accuracy")) {
    for (const std::string& expert : accuracies->keys())
      record.expert_accuracy.emplace_back(expert, accuracies->required<double>(expert));
  }
  if (auto texts = fields.table("expert_texts")) {
    for (const std::string& expert : texts->keys())
      record.expert_texts.emplace_back(expert, texts->required<int64_t>(expert));
  }
  record.entropy_percentiles = read_numbers(fields, "entropy_percentiles");
  if (auto choice = fields.table("top_k_auto"))
    record.top_k_choice = read_choice(*choice, record.settings.top_k);
  if (auto guards = fields.table("share_guard")) {
    for (const std::string& expert : guards->keys())
      record.share_guards.emplace_back(expert, read_guard(*guards->table(expert)));
  }
  record.profiles = evaluation::profiles_from(fields.any("profile"));
  record.validation_task = fields.optional<double>("validation_task");
  record.replay_sha256 = fields.value_or<std::string>("replay_sha256", "");
}

}  // namespace

Json to_json(const ShareGuard& guard) {
  return {{"texts", guard.texts},
          {"best", guard.best},
          {"before", guard.before},
          {"after", guard.after},
          {"pull", guard.pull}};
}

void write_record(const GateFitRecord& record, pipeline::GateFile& file) {
  const GateTrainingOptions& settings = record.settings;
  file.fusion = settings.fusion;
  file.top_k = record.top_k_choice ? record.top_k_choice->stored_top_k() : settings.top_k;
  file.layer_was_chosen = settings.gate_layer.has_value();
  file.objective = settings.objective;
  file.prior = settings.prior;
  file.seed = settings.seed;
  file.fit = fit_json(settings);
  file.metrics = metrics_json(record);
}

GateFitRecord read_record(const pipeline::GateFile& file) {
  GateFitRecord record;
  GateTrainingOptions& settings = record.settings;
  settings.fusion = file.fusion;
  settings.top_k = file.top_k;
  settings.objective = file.objective;
  settings.prior = file.prior;
  settings.seed = file.seed;
  settings.usual_gate = false;
  settings.gate = file.gate.is_mlp()        ? GateKind::kMlp
                  : file.gate.is_factored() ? GateKind::kFactored
                                            : GateKind::kLinear;
  if (file.layer_was_chosen) {
    settings.gate_layer = file.gate.layer();
  } else {
    for (const encoder::PooledKey& feature : file.gate.features)
      settings.layers.push_back(feature.layer);
  }
  read_fit(table_of(file.fit, "fit"), settings);
  read_metrics(table_of(file.metrics, "metrics"), record);
  if (settings.choose_top_k) settings.top_k = 0;  // it was fitted dense, and would be again
  return record;
}

GateTrainingOptions settings_of(const pipeline::GateFile& file, Log log) {
  if (file.fit.empty()) {
    log.warning(
        "gate.toml is of an earlier version, which did not record --calibrate, --prior, "
        "--keep-replay and the optimiser's settings: the defaults are taken");
  }
  return read_record(file).settings;
}

}  // namespace moecollab::training
