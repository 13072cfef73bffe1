#include "worker/remote_expert.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <moecollab/abi.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "base/error.h"
#include "base/strings.h"
#include "experts/abi_views.h"
#include "experts/in_batches.h"
#include "worker/expert_words.h"
#include "worker/shared_batch.h"

namespace moecollab::worker {
namespace {

using std::chrono::milliseconds;

// What an expert may say of itself: more is no expert, but an attack.
constexpr int kMostRestarts = 3;  // of one expert, in a run

// Codes that the process's own code gives; another one is the expert's invention.
std::string checked_code(const std::string& code) {
  for (const char* known : {"E_DESC_MISMATCH", "E_ELF_SYM", "E_ABI", "E_PLUG_IO", "E_OUT"}) {
    if (code == known) return code;
  }
  return "E_IPC";
}

}  // namespace

RemoteExpert::RemoteExpert(experts::SealedLibrary library, std::vector<std::string> labels,
                           experts::ExpertSetup setup, const ProcessLimits& limits)
    : library_(std::move(library)),
      labels_(std::move(labels)),
      setup_(std::move(setup)),
      limits_(limits),
      facts_(experts::facts_of(setup_)),
      needs_engine_(!library_.torch().empty() || (setup_.inputs & MOEC_INPUT_HIDDEN) != 0) {
  if (!setup_.compute.device.is_cpu()) {
    setup_.context.log.note(
        fmt::format("expert {} runs in a process of its own, on the CPU", escaped(setup_.name)));
  }
  try {
    start();
  } catch (const ProcessEnded& ended) {
    setup_.context.log.warning(ended.what(), "it is made again in a new process");
    start();
  }
}

RemoteExpert::~RemoteExpert() = default;

void RemoteExpert::start() {
  process_ = std::make_shared<Process>(setup_.name, library_.descriptor(), limits_, setup_.context,
                                       engine_arguments());
  load();
  create();
  if (wire_.wants_engine != 0 && !needs_engine_ && setup_.encoder_weights != nullptr) {
    needs_engine_ = true;
    return start();
  }
  take_bottleneck();
}

std::optional<EngineArguments> RemoteExpert::engine_arguments() const {
  if (!needs_engine_) return std::nullopt;
  EngineArguments arguments;
  arguments.threads = setup_.compute.threads;
  if (const encoder::Encoder* encoder = setup_.encoder_weights) {
    arguments.encoder = fs::absolute(encoder->settings().folder).string();
    arguments.max_length = encoder->max_length();
    arguments.literal_special_tokens =
        encoder->settings().special_tokens == text::SpecialTokens::kLiteral;
    arguments.batch_tokens = encoder->batch_tokens();
  }
  return arguments;
}

Reply RemoteExpert::ask(Call call, const char* phase, milliseconds allowed) {
  const Reply reply = process_->call(call, phase, allowed);
  if (reply.status == MOEC_OK) return reply;
  const std::string message = text_of(reply.message);
  std::string code = text_of(reply.code);
  // What only a host says is the expert's invention.
  if (reply.status == MOEC_CANCELLED && !setup_.context.stop.requested()) code = "E_IPC";
  if (!code.empty()) {
    throw Error(call.op == Op::kLoad || call.op == Op::kCreate ? checked_code(code) : "E_IPC",
                fmt::format("expert {}: {}", escaped(setup_.name), escaped(message, 512)));
  }
  experts::throw_failure(setup_.name, phase, reply.status, message);
}

void RemoteExpert::load() {
  Lent lent(process_->in());
  Call call;
  call.op = Op::kLoad;
  call.labels = lent.texts(labels_);
  call.label_count = labels_.size();
  ask(call, "load", limits_.call);
}

void RemoteExpert::create() {
  Lent lent(process_->in());
  Call call;
  call.op = Op::kCreate;
  WireCreate& wire = call.create;
  wire.classes = setup_.classes;
  wire.inputs = setup_.inputs;
  wire.pooling = experts::pooling_code(setup_.pooling);
  wire.layer_count = setup_.layers.size();
  wire.layers = lent.array(setup_.layers);
  wire.bf16 = setup_.training == Precision::kBf16 ? 1 : 0;
  if (setup_.encoder != nullptr) {
    wire.has_encoder = 1;
    wire.encoder_layers = static_cast<int32_t>(setup_.encoder->layers);
    wire.hidden = static_cast<int32_t>(setup_.encoder->hidden);
    wire.heads = static_cast<int32_t>(setup_.encoder->heads);
    wire.intermediate = static_cast<int32_t>(setup_.encoder->intermediate);
    wire.max_length = setup_.max_length;
    wire.ln_eps = setup_.encoder->ln_eps;
    wire.activation = lent.text(setup_.encoder->activation);
    wire.fingerprint = lent.text(setup_.encoder_fingerprint);
  }
  wire.config = lent.text(to_line(setup_.config));
  std::vector<WireWeight> weights;
  for (const auto& [name, tensor] : setup_.weights)
    weights.push_back({lent.text(name), lent.tensor(tensor)});
  wire.weight_count = weights.size();
  wire.weights = lent.array(weights);
  wire_ = ask(call, "create", limits_.call).facts;
  require_bounded(setup_.name, wire_);
  experts::check_requirements({wire_.classes,
                               wire_.pooling,
                               wire_.layout,
                               wire_.inputs,
                               wire_.max_batch,
                               std::vector<int32_t>(wire_.layers, wire_.layers + wire_.layer_count),
                               {wire_.flops_per_row, wire_.flops_per_token, wire_.flops_per_pair}},
                              setup_, facts_);
  facts_.trainable = wire_.trains != 0;
  facts_.explains = wire_.explains != 0;
  facts_.isolated = true;
}

void RemoteExpert::take_bottleneck() {
  bottleneck_.reset();
  if (wire_.bottleneck == 0) return;
  experts::check_bottleneck(setup_, wire_.bottleneck_features, wire_.bottleneck,
                            wire_.bottleneck_classes);
  const int64_t d = wire_.bottleneck_features, k = wire_.bottleneck, c = setup_.classes;
  int64_t weights = 0;  // a bottleneck is made of them
  for (const auto& [name, tensor] : setup_.weights) weights += tensor.numel();
  if (d < 1 || k > weights / d) nonsense(setup_.name, fmt::format("its bottleneck is {} wide", k));
  const std::vector<std::vector<int64_t>> shapes = {{k, d}, {k}, {d, k}, {d}, {c, d}, {c}};
  std::vector<Block> blocks;
  std::vector<WireTensor> list;
  for (const std::vector<int64_t>& shape : shapes) {
    blocks.emplace_back(process_->out(), bytes_of(shape));
    list.push_back(wire_of(blocks.back(), shape));
  }
  Lent lent(process_->in());
  Call call;
  call.op = Op::kBottleneck;
  call.list = lent.array(list);
  call.list_count = list.size();
  ask(call, "bottleneck.describe", limits_.call);
  std::vector<at::Tensor> copies;  // which the process cannot change while they are read
  for (size_t i = 0; i < shapes.size(); ++i) copies.push_back(mapped(blocks[i], shapes[i]).clone());
  moec_bottleneck model{};
  model.struct_size = sizeof model;
  model.features = d;
  model.bottleneck = k;
  model.classes = c;
  model.down_weight = copies[0].const_data_ptr<float>();
  model.down_bias = copies[1].const_data_ptr<float>();
  model.up_weight = copies[2].const_data_ptr<float>();
  model.up_bias = copies[3].const_data_ptr<float>();
  model.out_weight = copies[4].const_data_ptr<float>();
  model.out_bias = copies[5].const_data_ptr<float>();
  const std::set<encoder::PooledKey>& layers = facts_.request.pooled;
  bottleneck_.emplace(model, std::vector(layers.begin(), layers.end()));
}

WireExec RemoteExpert::exec(bool training, uint64_t seed) const {
  WireExec exec;
  exec.threads = at::in_parallel_region() ? 1 : setup_.compute.threads;
  exec.training = training ? 1 : 0;
  exec.seed = seed;
  return exec;
}

experts::Flops RemoteExpert::flops() const {
  return bottleneck_ ? experts::Flops{.row = bottleneck_->flops_per_row()} : facts_.flops;
}

at::Tensor RemoteExpert::forward(const encoder::Features& rows) {
  return bottleneck_ ? bottleneck_->logits(rows) : forward_by_library(rows);
}

std::vector<experts::Evidence> RemoteExpert::explain(const encoder::Features& row, int32_t label,
                                                     int64_t most) {
  if (!facts_.explains) return {};
  if (!process_->is_alive()) start_again();
  std::vector<moec_evidence> found(static_cast<size_t>(most));
  const size_t bytes = found.size() * sizeof(moec_evidence);
  Lent lent(process_->in());
  const Block block(process_->out(), bytes);
  Call call;
  call.op = Op::kExplain;
  call.exec = exec(false, setup_.seed);
  call.batch = lent.batch(row, facts_.request, (setup_.inputs & MOEC_INPUT_TEXT) != 0);
  call.epochs = static_cast<uint32_t>(label);
  call.rows = most;
  call.list = block.offset();
  const auto count = static_cast<int64_t>(ask(call, "explain", allowed_for(row)).number);
  std::memcpy(found.data(), block.data(), bytes);  // a copy is checked
  return experts::checked_evidence(setup_.name, found, count, row.texts.at(0));
}

at::Tensor RemoteExpert::forward_by_library(const encoder::Features& rows) {
  return experts::in_batches(rows, setup_.max_batch,
                             [&](const encoder::Features& some) { return forward_or_again(some); });
}

at::Tensor RemoteExpert::forward_or_again(const encoder::Features& rows) {
  if (process_->is_alive()) {
    recycle_if_large();
    try {
      return forward_once(rows);
    } catch (const ProcessEnded& ended) {
      if (learns_ || ++restarts_ > kMostRestarts) throw;
      setup_.context.log.warning(ended.what(), "it is asked again in a new process");
    }
  }
  if (!learns_) start_again();  // else forward_once() says that the process is gone
  return forward_once(rows);
}

void RemoteExpert::start_again() {
  try {
    start();
  } catch (const ProcessEnded&) {
    throw;
  } catch (const Error& error) {  // what it said at first was something else
    throw Error("E_IPC", error.what(), error.hint());
  }
}

// A hang is noticed by it: more than any expert takes on a machine that does other work too.
milliseconds RemoteExpert::allowed_for(const encoder::Features& rows) const {
  int64_t tokens = rows.row_offsets.empty() ? 0 : rows.row_offsets.back();
  if (tokens == 0) {
    for (const std::string_view text : rows.texts) tokens += static_cast<int64_t>(text.size()) / 4;
  }
  return limits_.call + std::chrono::duration_cast<milliseconds>(limits_.token * tokens);
}

at::Tensor RemoteExpert::forward_once(const encoder::Features& rows) {
  const std::array<int64_t, 2> shape{rows.rows(), setup_.classes};
  Lent lent(process_->in());
  const Block block(process_->out(), bytes_of(shape));
  mapped(block, shape).copy_(experts::unwritten_logits(rows.rows(), setup_.classes));
  Call call;
  call.op = Op::kForward;
  call.exec = exec(false, setup_.seed);
  call.batch = lent.batch(rows, facts_.request, (setup_.inputs & MOEC_INPUT_TEXT) != 0);
  call.tensors[0] = wire_of(block, shape);
  ask(call, "forward", allowed_for(rows));
  // A copy is checked, since the process may still write.
  at::Tensor logits = mapped(block, shape).clone();
  if (experts::any_unwritten(logits)) {
    throw Error("E_OUT_UNWRITTEN",
                fmt::format("expert {}: forward() left elements of its [{}, {}] output unwritten",
                            escaped(setup_.name), rows.rows(), setup_.classes));
  }
  return logits;
}

void RemoteExpert::recycle_if_large() {
  const uint64_t resident = process_->resident();
  if (learns_ || resident <= limits_.resident) return;
  setup_.context.log.warning(
      fmt::format("expert {}: its process had grown to {} MiB, and was replaced",
                  escaped(setup_.name), resident >> 20));
  start_again();
}

}  // namespace moecollab::worker
