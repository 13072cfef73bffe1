#include "training/gate_prior.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/digest.h"
#include "base/error.h"
#include "base/strings.h"
#include "base/toml.h"

namespace moecollab::training {
namespace {

constexpr uint64_t kMaxPriorBytes = 1 << 20;

std::vector<double> share_of_data(const std::vector<std::string>& names,
                                  const std::vector<fusion::ExpertLabels>& experts,
                                  const fusion::LabelUnion& labels, const GateData& data) {
  std::vector<double> texts(labels.spaces().size(), 0.0), sharing = texts, prior;
  const int64_t* target = data.held_out.targets.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < data.held_out.targets.numel(); ++i)
    texts[static_cast<size_t>(labels.space_of(static_cast<int>(target[i])))] += 1;
  for (const fusion::ExpertLabels& expert : experts)
    sharing[static_cast<size_t>(expert.space)] += 1;
  for (size_t e = 0; e < experts.size(); ++e) {
    const auto space = static_cast<size_t>(experts[e].space);
    if (texts[space] == 0) {
      throw Error("E_CONFIG",
                  fmt::format("prior data: no held-out text is of label space {}, so expert {} "
                              "would get 0",
                              labels.spaces()[space].name, names[e]),
                  "give that domain's training data too, or use --prior uniform or a file");
    }
    prior.push_back(texts[space] / sharing[space]);
  }
  return prior;
}

Json read_table(const std::string& file) {
  if (!file.ends_with(".json")) return read_toml(file, "E_CONFIG").root;
  try {
    return parse_json(read_file(file, "E_CONFIG", kMaxPriorBytes));
  } catch (const std::invalid_argument& error) {
    throw Error("E_CONFIG", fmt::format("{}: {}", escaped(file), error.what()));
  }
}

std::vector<double> read_shares(const std::string& file, const std::vector<std::string>& names) {
  const Json table = read_table(file);
  const auto refuse = [&](const std::string& what) {
    throw Error("E_CONFIG", fmt::format("prior {}: {}", escaped(file), what),
                fmt::format("it is a table of a share > 0 for each of {}", join(names, ", ")));
  };
  if (!table.is_object()) refuse("is no table");
  for (const auto& [name, share] : table.items()) {
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      refuse(fmt::format("`{}` is no installed expert{}", escaped(name, 80),
                         did_you_mean(name, names)));
    }
  }
  std::vector<double> shares;
  for (const std::string& name : names) {
    if (!table.contains(name)) refuse(fmt::format("expert `{}` is missing", name));
    const Json& share = table[name];
    if (!share.is_number() || !(share.get<double>() > 0) || !std::isfinite(share.get<double>()))
      refuse(fmt::format("`{}` is {}, expected a number > 0", name, escaped(to_line(share), 40)));
    shares.push_back(share.get<double>());
  }
  return shares;
}

}  // namespace

std::vector<double> make_prior(const std::string& prior, const std::vector<std::string>& names,
                               const std::vector<fusion::ExpertLabels>& experts,
                               const fusion::LabelUnion& labels, const GateData& data) {
  std::vector<double> shares(names.size(), 1.0);
  const bool word = prior == "data" || prior == "uniform";
  if (!word && !fs::exists(prior)) {
    const std::vector<std::string> words = {"uniform", "data"};
    throw Error("E_CONFIG",
                fmt::format("prior is \"{}\", which is no file{}", escaped(prior, 80),
                            did_you_mean(prior, words)),
                "expected uniform, data, or a TOML or JSON file of a share for each expert");
  }
  if (prior == "data") shares = share_of_data(names, experts, labels, data);
  if (!word) shares = read_shares(prior, names);
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  for (double& share : shares) share /= sum;
  return shares;
}

std::string prior_digest(const std::string& prior) {
  if (prior == "uniform" || prior == "data") return "";
  return file_sha256_or_none(prior, "E_CONFIG");
}

}  // namespace moecollab::training
