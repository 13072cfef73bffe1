#include "engine/answer_lines.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

namespace moecollab::engine {
namespace {

constexpr double kShownWeight = 0.001;  // experts below it are left out of a line

std::string quoted(const std::string& text) { return to_line(Json(text)); }

void append(double number, std::string& out) {
  out += to_line(Json(std::round(number * 1e6) / 1e6));
}

void append(const pipeline::Prediction::Candidate& candidate, std::string& out) {
  out.append("\"label\":").append(quoted(candidate.label));
  out.append(",\"label_space\":").append(quoted(candidate.space)).append(",\"probability\":");
  append(candidate.probability, out);
}

// Each part as the text has it, and its weight.
void append(const std::optional<std::vector<pipeline::Prediction::Opinion::Part>>& evidence,
            std::string& out) {
  if (!evidence) {
    out += "null";
    return;
  }
  out += '[';
  const char* comma = "";
  for (const auto& part : *evidence) {
    out.append(std::exchange(comma, ",")).append("{\"text\":").append(quoted(part.text));
    out.append(fmt::format(",\"begin\":{},\"end\":{},\"weight\":", part.begin, part.end));
    append(part.weight, out);
    out += '}';
  }
  out += ']';
}

}  // namespace

AnswerLines::AnswerLines(const std::vector<std::string>& experts, double unknown)
    : unknown_(unknown) {
  for (const std::string& name : experts) experts_.push_back(quoted(name));
}

std::string AnswerLines::line(const data::TextRecord& record,
                              const pipeline::Prediction& prediction) const {
  std::string out = "{\"text_id\":";
  out += record.id.empty() ? fmt::to_string(record.line) : record.id;
  out += ',';
  append(prediction.answer, out);
  out += ",\"experts\":{";
  const char* comma = "";
  for (size_t e = 0; e < experts_.size(); ++e) {
    if (prediction.shares[e] < kShownWeight) continue;
    out.append(std::exchange(comma, ",")).append(experts_[e]) += ':';
    append(prediction.shares[e], out);
  }
  out.append("},\"unknown_domain\":").append(prediction.unknown_domain ? "true" : "false");
  out += ",\"alternatives\":[";
  comma = "";
  for (const auto& next : prediction.alternatives) {
    out.append(std::exchange(comma, ",")) += '{';
    append(next, out);
    out += '}';
  }
  out += ']';
  if (!prediction.opinions.empty()) append_explanation(prediction, out);
  return out.append(",\"line\":").append(fmt::to_string(record.line)) += '}';
}

void AnswerLines::append_explanation(const pipeline::Prediction& prediction,
                                     std::string& out) const {
  out += ",\"explain\":{\"entropy\":";
  append(prediction.entropy, out);
  out += ",\"unknown_above\":";
  append(unknown_, out);
  out += ",\"experts\":[";
  const char* comma = "";
  for (const pipeline::Prediction::Opinion& opinion : prediction.opinions) {
    out.append(std::exchange(comma, ",")).append("{\"expert\":").append(experts_[opinion.expert]);
    out += ",\"share\":";
    append(prediction.shares[opinion.expert], out);
    out += ',';
    append(opinion.answer, out);
    out += ",\"of_answer\":";
    if (opinion.of_answer) {
      append(*opinion.of_answer, out);
    } else {
      out += "null";
    }
    out += ",\"evidence\":";
    append(opinion.evidence, out);
    out += '}';
  }
  out += "]}";
}

}  // namespace moecollab::engine
