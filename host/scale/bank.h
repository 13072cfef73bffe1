// The experts that pools are put together from, each trained once in a registry of its own.
#pragma once

#include <string>
#include <vector>

#include "encoder/encoder.h"
#include "pipeline/pool.h"
#include "scale/pseudo_domains.h"
#include "scale/scale_plan.h"

namespace moecollab::scale {

class Bank {
 public:
  // `folder` is this run's alone; the domains' files are written to it now. `open`: how pools are
  // opened, whatever its registry is. Borrows the domains. Throws E_WRITE.
  Bank(fs::path folder, const std::vector<PseudoDomain>& domains, std::string kind,
       encoder::EncoderSettings encoder, uint64_t seed, pipeline::PoolOptions open);

  int domains() const { return static_cast<int>(domains_.size()); }
  std::string name(const Member& member) const;  // of the expert
  // The registry that the member lies in; it is trained now unless it was before. Throws as the
  // training of an expert does.
  fs::path registry(const Member& member) const;
  // A registry in `folder`, which is made again, of some members, without a gate. Their files are
  // the bank's own (hard links).
  void assemble(const std::vector<Member>& members, const fs::path& folder) const;
  // The files of the first `count` domains.
  std::vector<data::Dataset> training(int count) const;
  std::vector<data::Dataset> judged(int count) const;

 private:
  fs::path file(const PseudoDomain& domain, const char* split) const;
  std::vector<data::Dataset> read(int count, const char* split) const;
  data::Dataset lesson(const Member& member) const;

  fs::path folder_;
  const std::vector<PseudoDomain>& domains_;
  std::string kind_;
  encoder::EncoderSettings encoder_;
  uint64_t seed_;
  pipeline::PoolOptions open_;
};

}  // namespace moecollab::scale
