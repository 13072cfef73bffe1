#include "cli/verb.h"

namespace moecollab::cli {
namespace {

void add_objective(CLI::App& verb, engine::TrainGateOptions& options) {
  verb.add_option("--entropy-sign", options.entropy_sign,
                  "literal: lambda1 times the entropy is added, as the paper prints it; explore: "
                  "subtracted")
      ->capture_default_str();
  verb.add_option("--prior", options.prior,
                  "What the balance term draws the experts' shares to: uniform, data, or a TOML or "
                  "JSON file of expert = share")
      ->capture_default_str();
  verb.add_option("--balance-window", options.balance_window,
                  "Batches that the balance term looks back on; 0: one")
      ->capture_default_str();
  verb.add_option("--free-bits", options.free_bits, "Nats of the balance term that cost nothing")
      ->capture_default_str();
  verb.add_option("--switch", options.switch_load,
                  "Weight of the Switch Transformer's load balancing term")
      ->capture_default_str();
  verb.add_option("--importance-cv2", options.importance_cv2,
                  "Weight of the squared coefficient of variation of the experts' importance")
      ->capture_default_str();
  verb.add_option("--z-loss", options.z_loss, "Weight of the mean squared logsumexp of the gate")
      ->capture_default_str();
}

}  // namespace

void add_gate_fit(CLI::App& verb, engine::TrainGateOptions& options) {
  verb.add_option("--fusion", options.fusion, "mixture, logit-union, masked or paper")
      ->capture_default_str();
  verb.add_option("--top-k", options.top_k, "Experts run for a text; 0: all")
      ->capture_default_str();
  verb.add_option("--gate", options.gate, "linear, or mlp: one hidden layer")
      ->capture_default_str();
  verb.add_option("--gate-hidden", options.hidden, "Units of the mlp gate's hidden layer")
      ->capture_default_str();
  verb.add_flag("--calibrate", options.calibrate,
                "First fit each expert's temperature on held-out texts of its own labels");
  add_objective(verb, options);
  verb.add_option("--layers", options.layers,
                  "Encoder layers whose means the gate reads (default: first, middle, last)");
  verb.add_option("--optimizer", options.optimizer,
                  "adamw, or lbfgs: all texts at once; it finds its own step")
      ->capture_default_str();
  verb.add_option("--epochs", options.epochs,
                  "Epochs (of lbfgs: iterations) at most; the best on a fifth of the texts counts")
      ->capture_default_str();
  verb.add_option("--lr", options.lr, "Learning rate of AdamW")->capture_default_str();
  verb.add_option("--weight-decay", options.weight_decay,
                  "AdamW: decoupled; lbfgs: a penalty of half its square norm over the texts")
      ->capture_default_str();
  verb.add_option("--batch", options.batch, "Texts a step of AdamW")->capture_default_str();
}

}  // namespace moecollab::cli
