// The lines of `predict`.
#pragma once

#include <string>
#include <vector>

#include "data/text_source.h"
#include "pipeline/predictor.h"

namespace moecollab::engine {

// Written without a document in between, which would take longer than all else that a lone text
// costs beside encoder and experts.
class AnswerLines {
 public:
  // `unknown`: nats above which a domain is unknown.
  AnswerLines(const std::vector<std::string>& experts, double unknown);

  // The id keeps its bytes; a text without one is known by its line. With "explain" if the
  // prediction has opinions.
  std::string line(const data::TextRecord& record, const pipeline::Prediction& prediction) const;

 private:
  void append_explanation(const pipeline::Prediction& prediction, std::string& out) const;

  std::vector<std::string> experts_;  // quoted
  double unknown_;
};

}  // namespace moecollab::engine
