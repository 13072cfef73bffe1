#include "contribution/growth_texts.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/strings.h"
#include "training/replay_file.h"
#include "training/routing_file.h"
#include "training/text_collection.h"

namespace moecollab::contribution {
namespace {

using pipeline::InstalledExpert;

constexpr int64_t kUnseen = 2000;  // texts of an old domain that its rows were not fitted on

// Whether somebody here knows the labels of the domain: not if its experts are all disabled.
bool is_answered(const pipeline::Pool& pool, const OpenedGrowth& growth,
                 const std::string& domain) {
  const auto stated = pool.registry().domains.find(domain);
  if (stated != pool.registry().domains.end())
    return pool.labels().find(stated->second).has_value();
  return std::any_of(growth.experts.begin(), growth.experts.end(),
                     [&](const InstalledExpert* e) { return e->domain() == domain; });
}

// Collects the texts of one growth, part by part.
class Collector {
 public:
  Collector(pipeline::Pool& pool, const OpenedGrowth& growth,
            const std::vector<data::Dataset>& datasets, uint64_t seed)
      : pool_(pool), growth_(growth), features_(growth.setting.gate.features) {
    for (const data::Dataset& dataset : datasets) {
      Ordered file{&dataset, {}, 0};
      file.examples = training::held_out_first(dataset, seed, file.held_out);
      if (dataset.domain == growth.domain) {
        own_ = std::move(file);
      } else {
        old_.push_back(std::move(file));
      }
    }
  }

  GrowthTexts collect(int64_t count) {
    if (own_) {
      collect_from_file(count);
    } else {
      collect_from_package();
    }
    collect_replay();
    collect_unseen();
    return std::move(texts_);
  }

 private:
  // Examples of one file, the first ones held out from its experts.
  struct Ordered {
    const data::Dataset* dataset;
    std::vector<int64_t> examples;
    int64_t held_out;
    int64_t size() const { return static_cast<int64_t>(examples.size()); }
  };

  training::ChosenTexts range(const Ordered& file, int64_t first, int64_t last) const {
    return {file.dataset,
            pool_.space_of_domain(file.dataset->domain),
            {file.examples.begin() + first, file.examples.begin() + last}};
  }
  training::AnsweredTexts answered(const std::vector<training::ChosenTexts>& chosen) {
    return training::collect_answered_texts(pool_, pool_.labels(), growth_.experts, features_,
                                            chosen);
  }

  void collect_from_file(int64_t most);
  void collect_from_package();
  void collect_replay();
  void add_kept(std::set<std::string>& covered);
  void collect_unseen();
  void warn_of_seen() const;

  pipeline::Pool& pool_;
  const OpenedGrowth& growth_;
  const std::vector<encoder::PooledKey>& features_;
  std::optional<Ordered> own_;
  std::vector<Ordered> old_;
  GrowthTexts texts_;
};

void Collector::warn_of_seen() const {
  const std::vector<int64_t>& seen = texts_.fresh.seen;
  for (size_t e = 0; e < seen.size(); ++e) {
    if (seen[e] == 0) continue;
    pool_.context().log.warning(fmt::format(
        "expert {} may have trained on {} of the texts of its own domain, and then counts for more "
        "than it should",
        growth_.experts[e]->name, seen[e]));
  }
}

// The first texts of the new domain, and the rest of its held-out ones.
void Collector::collect_from_file(int64_t most) {
  const int64_t count = std::min(most, own_->size());
  texts_.fresh = answered({range(*own_, 0, count)});
  texts_.fresh_held_out = std::min(count, own_->held_out);
  if (count < own_->held_out) texts_.judged = answered({range(*own_, count, own_->held_out)});
  texts_.source = "data";
  warn_of_seen();
}

void Collector::collect_from_package() {
  for (const InstalledExpert* expert : growth_.newcomers) {
    const auto routing = training::read_routing(expert->package, *pool_.encoder(),
                                                growth_.setting.gate, pool_.context().log);
    if (!routing) continue;
    const int64_t m = routing->z.size(0);
    training::AnsweredTexts& fresh = texts_.fresh;
    fresh.z = routing->z;
    fresh.spaces = at::full({m}, expert->labels.space, at::kLong);
    fresh.targets = at::full({m}, -1, at::kLong);
    for (const InstalledExpert* other : growth_.experts)
      fresh.logits.push_back(at::zeros({m, other->expert->classes()}));
    texts_.source = routing->mean_only ? "mean" : "routing";
    return;
  }
  throw Error(
      "E_DATA",
      fmt::format("there is no training file for domain {}, and package {} has no "
                  "routing.safetensors",
                  escaped(growth_.domain, 80), growth_.newcomers.front()->name),
      fmt::format("give one with --data {}=FILE or --data-dir DIR", escaped(growth_.domain, 80)));
}

// The old domains: held-out texts of their files, else what was kept of them.
void Collector::collect_replay() {
  std::vector<training::ChosenTexts> chosen;
  std::set<std::string> covered;
  for (const Ordered& file : old_) {
    if (file.held_out > 0) covered.insert(file.dataset->domain);
    chosen.push_back(range(file, 0, file.held_out));
  }
  texts_.replay = answered(chosen);
  if (growth_.stored.file.data.contains(growth_.domain) && !texts_.judged.domain_of.empty()) {
    // Another expert for a domain that the gate knows: its other texts are old ones too.
    texts_.replay = joined(texts_.replay, texts_.judged);
    texts_.judged_is_replayed = true;
    covered.insert(growth_.domain);
  }
  add_kept(covered);
  for (const auto& [domain, sha256] : growth_.stored.file.data) {
    if (!covered.contains(domain)) texts_.unchecked.insert(domain);
  }
}

void Collector::add_kept(std::set<std::string>& covered) {
  const pipeline::GateFile& stored = growth_.stored.file;
  const auto replay = training::read_replay(pool_.options().registry,
                                            stored.metrics.value("replay_sha256", std::string()));
  if (!replay) return;
  std::set<std::string> left_out = covered;
  for (const auto& [domain, sha256] : stored.data) {
    if (!is_answered(pool_, growth_, domain)) left_out.insert(domain);
  }
  const training::AnsweredTexts old =
      training::kept_texts(*replay, pool_, growth_.experts, features_, left_out);
  covered.insert(old.domains.begin(), old.domains.end());
  texts_.replay = joined(texts_.replay, old);
}

// Texts that are not held out: the old rows were fitted on the held-out ones, and are surer of
// them.
void Collector::collect_unseen() {
  std::vector<training::ChosenTexts> chosen;
  for (const Ordered& file : old_)
    chosen.push_back(range(file, file.held_out, std::min(file.size(), file.held_out + kUnseen)));
  texts_.unseen = training::collect_unanswered_texts(pool_, growth_.experts, features_, chosen);
}

}  // namespace

std::vector<data::Dataset> files_of_growth(const pipeline::Pool& pool, const OpenedGrowth& growth,
                                           std::vector<data::Dataset> datasets) {
  const Log log = pool.context().log;
  std::vector<data::Dataset> used;
  for (data::Dataset& dataset : datasets) {
    if (dataset.domain == growth.domain) {
      used.push_back(std::move(dataset));
      continue;
    }
    const auto known = growth.stored.file.data.find(dataset.domain);
    if (known == growth.stored.file.data.end()) {
      log.note(fmt::format("domain {} is neither new nor one that the gate was fitted on: left out",
                           dataset.domain));
      continue;
    }
    if (!is_answered(pool, growth, dataset.domain)) {
      log.note(fmt::format("domain {} has no expert that is ready: left out", dataset.domain));
      continue;
    }
    if (known->second != dataset.sha256) {
      throw Error("E_DATA_CHANGED",
                  fmt::format("{}: SHA-256 is {}, the gate was fitted on {}",
                              escaped(dataset.file.string()), dataset.sha256, known->second),
                  "give the file that the gate was fitted on, or leave the domain out");
    }
    used.push_back(std::move(dataset));
  }
  return used;
}

GrowthTexts collect_growth_texts(pipeline::Pool& pool, const OpenedGrowth& growth,
                                 const std::vector<data::Dataset>& datasets, int64_t count,
                                 uint64_t seed) {
  return Collector(pool, growth, datasets, seed).collect(count);
}

}  // namespace moecollab::contribution
