#include "scale/bank.h"

#include <fmt/format.h>

#include "base/error.h"
#include "contribution/install.h"
#include "contribution/trained_expert.h"
#include "registry/layout.h"
#include "registry/lock.h"
#include "registry/registry_edit.h"
#include "registry/registry_file.h"
#include "training/shuffle.h"

namespace moecollab::scale {
namespace {

// The same texts under labels that say nothing of them.
void shuffle_labels(std::vector<data::Example>& examples, uint64_t seed) {
  const std::vector<data::Example> honest = examples;
  const std::vector<int64_t> order = training::shuffled(std::ssize(examples), seed, 0);
  for (size_t i = 0; i < examples.size(); ++i)
    examples[i].label = honest[static_cast<size_t>(order[i])].label;
}

// The same files, or copies if the file system has no links. Nothing if there is no such folder.
void link_files(const fs::path& from, const fs::path& to) {
  if (!fs::exists(from)) return;
  try {
    for (const auto& entry : fs::recursive_directory_iterator(from)) {
      const fs::path target = to / fs::relative(entry.path(), from);
      fs::create_directories(entry.is_directory() ? target : target.parent_path());
      if (entry.is_directory()) continue;
      std::error_code no_links;
      fs::create_hard_link(entry.path(), target, no_links);
      if (no_links) fs::copy_file(entry.path(), target);
    }
  } catch (const fs::filesystem_error& error) {
    throw Error("E_WRITE", fmt::format("{} cannot be written: {}", shown(to), error.what()));
  }
}

}  // namespace

Bank::Bank(fs::path folder, const std::vector<PseudoDomain>& domains, std::string kind,
           encoder::EncoderSettings encoder, uint64_t seed, pipeline::PoolOptions open)
    : folder_(std::move(folder)),
      domains_(domains),
      kind_(std::move(kind)),
      encoder_(std::move(encoder)),
      seed_(seed),
      open_(std::move(open)) {
  for (const PseudoDomain& domain : domains_) {
    make_folder(file(domain, "train").parent_path());
    write_file_atomic(file(domain, "train"), jsonl(domain.training));
    write_file_atomic(file(domain, "dev"), jsonl(domain.judged));
  }
}

fs::path Bank::file(const PseudoDomain& domain, const char* split) const {
  return folder_ / "data" / domain.name / fmt::format("{}.jsonl", split);
}

std::string Bank::name(const Member& member) const {
  return fmt::format("{}-{}{}", domains_[static_cast<size_t>(member.domain)].name,
                     member.useless ? "u" : "h", member.number);
}

data::Dataset Bank::lesson(const Member& member) const {
  const PseudoDomain& domain = domains_[static_cast<size_t>(member.domain)];
  fs::path path = file(domain, "train");
  if (member.useless) {
    std::vector<data::Example> examples = domain.training;
    shuffle_labels(examples, seed_ + static_cast<uint64_t>(member.number));
    path = folder_ / "shuffled" / (name(member) + ".jsonl");
    make_folder(path.parent_path());
    write_file_atomic(path, jsonl(examples));
  }
  return data::read_dataset(domain.name, path);
}

fs::path Bank::registry(const Member& member) const {
  const std::string name = this->name(member);
  const fs::path registry = folder_ / "bank" / name;
  if (registry::read_lock(registry).find(name) != nullptr) return registry;
  fs::remove_all(registry);  // what a killed run left
  contribution::ExpertOptions asked;
  asked.name = name;
  asked.kind = kind_;
  asked.domain = domains_[static_cast<size_t>(member.domain)].name;
  asked.seed = seed_ + static_cast<uint64_t>(member.number) - 1;
  contribution::ensure_registry(registry, encoder_, open_.context.log);
  pipeline::PoolOptions open = open_;
  open.registry = registry;
  pipeline::Pool pool(open);
  contribution::train_expert(contribution::plan_expert(asked), lesson(member), pool);
  return registry;
}

void Bank::assemble(const std::vector<Member>& members, const fs::path& folder) const {
  fs::remove_all(folder);
  contribution::ensure_registry(folder, encoder_, open_.context.log);
  registry::Lock lock;
  for (const Member& member : members) {
    const fs::path source = registry(member);
    for (const char* part : {registry::kExpertsFolder, registry::kHeldOutFolder})
      link_files(source / part, folder / part);
    registry::append_expert(folder, registry::read_registry(source).experts.at(0));
    registry::Lock own = registry::read_lock(source);
    lock.entries.push_back(std::move(own.entries.at(0)));
    lock.made_here.merge(own.made_here);
    lock.own_libraries.merge(own.own_libraries);
  }
  registry::write_lock(folder, lock);
}

std::vector<data::Dataset> Bank::read(int count, const char* split) const {
  std::vector<data::Dataset> datasets;
  for (int i = 0; i < count; ++i) {
    const PseudoDomain& domain = domains_[static_cast<size_t>(i)];
    datasets.push_back(data::read_dataset(domain.name, file(domain, split)));
  }
  return datasets;
}

std::vector<data::Dataset> Bank::training(int count) const { return read(count, "train"); }
std::vector<data::Dataset> Bank::judged(int count) const { return read(count, "dev"); }

}  // namespace moecollab::scale
