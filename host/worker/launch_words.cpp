#include "worker/launch_words.h"

namespace moecollab::worker {

std::vector<std::string> launch_words(const LaunchWords& words) {
  const EngineArguments& a = words.arguments;
  return {std::to_string(words.host),
          std::to_string(words.memory),
          words.engine,
          std::to_string(a.threads),
          a.encoder,
          std::to_string(a.max_length),
          a.literal_special_tokens ? "literal" : "split",
          std::to_string(a.batch_tokens)};
}

LaunchWords parse_words(const std::vector<std::string>& words) {
  LaunchWords all;
  all.host = std::stoi(words.at(0));
  all.memory = std::stoull(words.at(1));
  all.engine = words.at(2);
  all.arguments = {std::stoi(words.at(3)), words.at(4), std::stoi(words.at(5)),
                   words.at(6) == "literal", std::stoll(words.at(7))};
  return all;
}

}  // namespace moecollab::worker
