#include "evaluation/histories.h"

#include <fmt/format.h>

#include <sstream>

#include "base/strings.h"
#include "evaluation/learning_curves.h"
#include "registry/layout.h"

namespace moecollab::evaluation {
namespace {

constexpr uint64_t kMaxHistory = uint64_t{64} << 20;  // bytes

// The lines of a history; none if there is no such file. One that cannot be read is noted.
std::vector<Json> read_history(const fs::path& file, CollectingLog& notes) {
  std::vector<Json> lines;
  if (!fs::exists(file)) return lines;
  try {
    std::istringstream text(read_file(file, "E_REG_IO", kMaxHistory));
    for (std::string line; std::getline(text, line);) lines.push_back(parse_json(line));
  } catch (const std::exception& error) {
    notes.keep(fmt::format("{} cannot be read: {}", escaped(file.string()), escaped(error.what())));
    lines.clear();
  }
  return lines;
}

}  // namespace

Json read_training(const fs::path& registry, const std::vector<std::string>& experts,
                   CollectingLog& notes) {
  std::vector<std::pair<std::string, std::vector<Json>>> histories;
  for (const std::string& expert : experts) {
    std::vector<Json> history = read_history(registry::expert_history(registry, expert), notes);
    if (!history.empty()) histories.emplace_back(expert, std::move(history));
  }
  return training_json(read_history(registry::gate_history(registry), notes), histories);
}

}  // namespace moecollab::evaluation
