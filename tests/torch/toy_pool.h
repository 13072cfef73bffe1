// A pool of three experts in memory that give fixed answers, and a gate over them.
#pragma once

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/error.h"
#include "base/files.h"
#include "pipeline/collaboration.h"
#include "torch/tiny_encoder.h"

namespace moecollab::testing {

class UntaughtExpert : public experts::Expert {
 public:
  const std::vector<Parameter>& bind(uint64_t) override { return none_; }
  const std::vector<Parameter>& parameters() const override { return none_; }
  void params_changed() override {}
  at::Tensor forward_train(encoder::Features, uint64_t, std::unique_ptr<Saved>&) override {
    return {};
  }
  void vjp(Saved&, const at::Tensor&) override {}
  experts::SelfFitting* self_fitting() override { return nullptr; }
  bool learns_parameters_only() const override { return true; }
  std::vector<std::pair<std::string, at::Tensor>> learnt() override { return {}; }

 private:
  std::vector<Parameter> none_;
};

// Reads the texts alone and learns nothing.
class TableExpert final : public UntaughtExpert {
 public:
  using Row = std::vector<float>;

  TableExpert(std::string name, Row every_text) : every_text_(std::move(every_text)) {
    facts_.name = std::move(name);
    facts_.classes = static_cast<int32_t>(every_text_.size());
  }

  std::map<std::string, Row> answers;  // to single texts, instead of the one to every text
  bool probabilities = false;          // what the answers are, instead of logits
  bool fails = false;
  bool host_code = false;           // computes on the calling thread alone
  std::optional<int> hidden_layer;  // whose states it asks for, though it does not look at them
  std::function<void()> before_pass;
  std::vector<std::string> asked;  // every text so far
  int passes = 0;

  const experts::ExpertFacts& facts() const override {
    facts_.probabilities = probabilities;
    facts_.request.hidden.clear();
    if (hidden_layer) facts_.request.hidden.insert(*hidden_layer);
    return facts_;
  }
  bool is_host_code() const override { return host_code; }
  at::Tensor forward(const encoder::Features& rows) override {
    ++passes;
    if (before_pass) before_pass();
    if (fails) throw Error("E_OUT", fmt::format("expert {}: out of order", name()));
    at::Tensor out = at::empty({rows.rows(), classes()}, at::kFloat);
    float* to = out.mutable_data_ptr<float>();
    for (const std::string_view text : rows.texts) {
      asked.emplace_back(text);
      const auto single = answers.find(asked.back());
      to = std::ranges::copy(single == answers.end() ? every_text_ : single->second, to).out;
    }
    return out;
  }

 private:
  mutable experts::ExpertFacts facts_;
  Row every_text_;
};

// Two label spaces: film/1 with the ids bad 0 and good 1, court/1 with civil 2, criminal 3, none 4.
// Unless a test says otherwise, the experts answer every text by
//   critic: bad 3/4, good 1/4    fan: good 4/5, bad 1/5 (in this order)
//   judge: civil 1/2, criminal 1/4, none 1/4
class ToyPool {
 public:
  static constexpr int64_t kExperts = 3;
  static constexpr size_t kCritic = 0, kFan = 1, kJudge = 2;

  // `more`: further lines of registry.toml.
  explicit ToyPool(const TinyEncoder& tiny, const std::string& more = "",
                   pipeline::PoolOptions options = {})
      : pool_(opened(tiny, more, std::move(options))) {
    install("critic", "films", 0, {"bad", "good"}, {std::log(3.0F), 0});
    install("fan", "films", 0, {"good", "bad"}, {std::log(4.0F), 0});
    install("judge", "courts", 1, {"civil", "criminal", "none"}, {std::log(2.0F), 0, 0});
  }

  pipeline::Pool& pool() { return *pool_; }
  pipeline::InstalledExpert& installed(size_t e) { return pool_->experts()[e]; }
  TableExpert& expert(size_t e) { return static_cast<TableExpert&>(*installed(e).expert); }

  // A gate that gives every text these shares.
  pipeline::GateFile constant_gate(const std::array<float, kExperts>& shares = {.5F, .3F, .2F}) {
    pipeline::GateFile file = empty_gate();
    file.gate.weight = at::zeros({kExperts, TinyEncoder::kHidden});
    file.gate.bias = at::tensor(at::ArrayRef<float>(shares)).log();
    return file;
  }
  // A gate whose router logits are the first three of a text's features.
  pipeline::GateFile reading_gate() {
    pipeline::GateFile file = empty_gate();
    file.gate.weight = at::eye(kExperts, TinyEncoder::kHidden);
    file.gate.bias = at::zeros({kExperts});
    return file;
  }
  // Features by which reading_gate() gives each text its shares.
  static encoder::Features features(const std::vector<std::string_view>& texts,
                                    const std::vector<std::array<float, kExperts>>& shares) {
    encoder::Features features;
    const auto n = static_cast<int64_t>(texts.size());
    features.texts = texts;
    at::Tensor z = at::zeros({n, TinyEncoder::kHidden});
    for (int64_t row = 0; row < n; ++row) {
      features.row_ids.push_back(row);
      const auto& share = shares[static_cast<size_t>(row)];
      z[row].narrow(0, 0, kExperts).copy_(at::tensor(at::ArrayRef<float>(share)).log());
    }
    features.pooled[kRead] = z;
    return features;
  }

 private:
  static constexpr encoder::PooledKey kRead = {TinyEncoder::kLayers, encoder::Pooling::kMean};

  std::unique_ptr<pipeline::Pool> opened(const TinyEncoder& tiny, const std::string& more,
                                         pipeline::PoolOptions options) {
    write_file_atomic(
        folder_.path() / "registry.toml",
        fmt::format("schema = 1\n[encoder]\npath = \"{}\"\nmax_length = 32\n"
                    "[[label_space]]\nname = \"film/1\"\nlabels = [\"bad\", \"good\"]\n"
                    "[[label_space]]\nname = \"court/1\"\n"
                    "labels = [\"civil\", \"criminal\", \"none\"]\n{}",
                    tiny.folder().string(), more));
    options.registry = folder_.path();
    options.tolerate_refused = true;  // [[expert]] entries of `more` have no packages
    return std::make_unique<pipeline::Pool>(options);
  }
  void install(const std::string& name, const std::string& domain, int space,
               const std::vector<std::string>& labels, TableExpert::Row every_text) {
    pipeline::InstalledExpert expert;
    expert.name = name;
    expert.package.manifest.task.domain = domain;
    expert.package.manifest.task.labels = labels;
    expert.package.manifest_sha256 = sha256_hex(name);
    expert.labels = {space, pool_->labels().columns(space, labels), 1.0};
    expert.expert = std::make_unique<TableExpert>(name, std::move(every_text));
    pool_->experts().push_back(std::move(expert));
  }
  pipeline::GateFile empty_gate() {
    pipeline::GateFile file;
    file.gate.features = {kRead};
    file.gate.mean = at::zeros({TinyEncoder::kHidden});
    file.gate.std = at::ones({TinyEncoder::kHidden});
    file.encoder_fingerprint = pool_->encoder()->fingerprint();
    for (const pipeline::InstalledExpert& expert : pool_->experts())
      file.rows.push_back({expert.name, "org.example." + expert.name, "1.0.0", expert.sha256()});
    return file;
  }

  TemporaryFolder folder_{"toy-pool"};
  std::unique_ptr<pipeline::Pool> pool_;
};

}  // namespace moecollab::testing
