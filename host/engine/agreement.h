// What all ranks of a run must have alike before they share its work.
#pragma once

#include <initializer_list>

#include "base/json.h"
#include "cluster/handshake.h"
#include "data/dataset.h"
#include "engine/options.h"
#include "pipeline/pool.h"

namespace moecollab::engine {

// Throws E_DIST unless the facts are equal on all ranks, and so is how they compute; warns if the
// processors or their threads differ, which may move last digits. Does nothing without ranks.
void require_agreement(const RunOptions& options, const RunContext& context, cluster::Facts facts);

// The same of a run on plain texts. Then shares the encoder's passes.
void share_passes(encoder::Encoder& encoder, std::span<const std::string_view> texts,
                  const RunOptions& options, const RunContext& context);

// The same of a run on labelled texts and a registry: the texts, the encoder, every package and the
// gate, by digest. Then shares the pool's work.
// `settings`: further options that must be equal since every rank computes with them.
void share_work(pipeline::Pool& pool,
                std::initializer_list<const std::vector<data::Dataset>*> texts,
                const RunOptions& options, const Json& settings = Json::object());

}  // namespace moecollab::engine
