#include "contribution/round.h"

#include <limits>

namespace moecollab::contribution {
namespace {

double number(const Json& value) {
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

Json to_json(const ExpertLearnt& expert) {
  Json json = {{"version", expert.version}};
  if (!expert.alone) return json;
  const std::optional<double>& accuracy = expert.alone->held_out_accuracy;
  json["epochs"] = expert.alone->epochs;
  json["held_out_accuracy"] = accuracy ? Json(*accuracy) : Json(nullptr);
  return json;
}

ExpertLearnt expert_from_json(const std::string& name, const Json& json) {
  ExpertLearnt expert{name, json["version"].get<std::string>(), std::nullopt};
  if (!json.contains("epochs")) return expert;
  expert.alone = ExpertLearnt::Alone{json["epochs"].get<int32_t>(), std::nullopt};
  if (const Json& accuracy = json["held_out_accuracy"]; !accuracy.is_null())
    expert.alone->held_out_accuracy = accuracy.get<double>();
  return expert;
}

Json to_json(const std::vector<training::JointEpoch>& history) {
  Json list = Json::array();
  for (const training::JointEpoch& epoch : history) {
    list.push_back({{"train_loss", epoch.train_loss},
                    {"held_out_loss", epoch.held_out_loss},
                    {"held_out_accuracy", epoch.held_out_accuracy},
                    {"skipped_steps", epoch.skipped_steps}});
  }
  return list;
}

JointFigures joint_from_json(const Json& json) {
  JointFigures figures{json["epochs"].get<int32_t>(), {}};
  for (const Json& epoch : json["history"]) {
    figures.history.push_back({number(epoch["train_loss"]), number(epoch["held_out_loss"]),
                               number(epoch["held_out_accuracy"]),
                               epoch["skipped_steps"].get<int64_t>()});
  }
  return figures;
}

Round round_from_json(const Json& json) {
  Round round;
  round.number = json["round"].get<int>();
  round.held_out_loss = number(json["held_out_loss"]);
  round.kept = json["kept"].get<bool>();
  if (json.contains("history")) round.joint = joint_from_json(json);
  if (!json.contains("experts")) return round;
  for (const auto& [name, expert] : json["experts"].items())
    round.experts.push_back(expert_from_json(name, expert));
  return round;
}

}  // namespace

Json to_json(const Round& round) {
  if (round.number == 0) {
    return {{"round", 0}, {"held_out_loss", round.held_out_loss}, {"kept", round.kept}};
  }
  Json json = Json::object();
  if (round.joint)
    json = {{"epochs", round.joint->epochs}, {"history", to_json(round.joint->history)}};
  json["held_out_loss"] = round.held_out_loss;
  json["experts"] = Json::object();
  for (const ExpertLearnt& expert : round.experts) json["experts"][expert.name] = to_json(expert);
  json["round"] = round.number;
  json["kept"] = round.kept;
  return json;
}

Json to_json(const std::vector<Round>& rounds) {
  Json list = Json::array();
  for (const Round& round : rounds) list.push_back(to_json(round));
  return list;
}

std::vector<Round> rounds_from_json(const Json& list) {
  std::vector<Round> rounds;
  for (const Json& round : list) rounds.push_back(round_from_json(round));
  return rounds;
}

}  // namespace moecollab::contribution
