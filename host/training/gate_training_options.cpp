#include "training/gate_training_options.h"

#include <fmt/format.h>

#include <cmath>
#include <stdexcept>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab::training {
namespace {

[[noreturn]] void refuse_word(std::string_view what, std::string_view text, const char* expected) {
  throw Error("E_CONFIG",
              fmt::format("{} is \"{}\", expected {}", what, escaped(text, 40), expected));
}

void settle_gate(GateTrainingOptions& options, Log log) {
  if (!options.usual_gate) return;
  const std::string reason = rules_out_factors(options);
  options.gate = reason.empty() ? GateKind::kFactored : GateKind::kLinear;
  if (!reason.empty()) log.note(fmt::format("gate: linear, since {}", reason));
}

}  // namespace

std::string rules_out_factors(const GateTrainingOptions& options) {
  if (options.fusion != fusion::Mode::kMixture)
    return fmt::format("fusion is {}", fusion::name(options.fusion));
  return options.objective.z_loss > 0 ? "z-loss is on" : "";
}

std::string_view name(GateOptimizer optimizer) {
  return optimizer == GateOptimizer::kAdamW ? "adamw" : "lbfgs";
}

GateOptimizer parse_gate_optimizer(std::string_view text, std::string_view what) {
  if (text == "adamw") return GateOptimizer::kAdamW;
  if (text == "lbfgs") return GateOptimizer::kLbfgs;
  refuse_word(what, text, "adamw or lbfgs");
}

std::string_view name(GateKind kind) {
  switch (kind) {
    case GateKind::kLinear:
      return "linear";
    case GateKind::kMlp:
      return "mlp";
    case GateKind::kFactored:
      return "factored";
  }
  throw std::logic_error("no such kind of gate");
}

GateKind parse_gate_kind(std::string_view text, std::string_view what) {
  if (text == "linear") return GateKind::kLinear;
  if (text == "mlp") return GateKind::kMlp;
  if (text == "factored") return GateKind::kFactored;
  refuse_word(what, text, "linear, mlp or factored");
}

void settle_for(Device device, GateTrainingOptions& options, Log log) {
  settle_gate(options, log);
  const bool looks_back = options.objective.balance_window > 1;  // over batches
  if (device.is_cpu() || !options.usual_optimizer || looks_back) return;
  options.optimizer = GateOptimizer::kLbfgs;
  log.note(fmt::format("optimizer: lbfgs, over all texts at once, since the gate is fitted on {}",
                       name(device)));
}

void validate(const GateTrainingOptions& options) {
  gate::validate(options.objective);
  const auto refuse = [](const char* option, auto value, const char* expected) {
    throw Error("E_CONFIG", fmt::format("{} is {}, expected {}", option, value, expected));
  };
  if (options.epochs < 1 || options.epochs > 100'000)
    refuse("epochs", options.epochs, "1 to 100000");
  if (!(options.lr > 0) || !std::isfinite(options.lr)) refuse("lr", options.lr, "a number > 0");
  if (!(options.weight_decay >= 0) || !std::isfinite(options.weight_decay)) {
    refuse("weight-decay", options.weight_decay, "a number >= 0");
  }
  if (options.batch < 1) refuse("batch", options.batch, "at least 1");
  if (options.top_k < 0) refuse("top-k", options.top_k, "0 (all) or more");
  if (options.choose_top_k && options.top_k != 0)
    refuse("top-k", options.top_k, "0 if it is to be chosen");
  if (options.gate_layer && !options.layers.empty()) {
    throw Error("E_CONFIG", "gate-layer and layers both say what the gate reads",
                "give one of them");
  }
  if (options.hidden < 1 || options.hidden > 65'536)
    refuse("gate-hidden", options.hidden, "1 to 65536 units");
  if (options.keep_replay < 0) refuse("keep-replay", options.keep_replay, "0 or more");
  if (options.gate == GateKind::kFactored && options.fusion != fusion::Mode::kMixture)
    refuse("fusion", fusion::name(options.fusion), "mixture for a gate in two factors");
  if (options.gate == GateKind::kFactored && options.objective.z_loss > 0)
    refuse("z-loss", options.objective.z_loss,
           "0 for a gate in two factors, whose logits are ln g");
  if (options.optimizer == GateOptimizer::kLbfgs && options.objective.balance_window > 1) {
    refuse("balance-window", options.objective.balance_window,
           "0 under lbfgs, whose one batch is all the texts");
  }
}

}  // namespace moecollab::training
