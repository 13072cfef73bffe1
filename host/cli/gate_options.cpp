#include <charconv>

#include "base/strings.h"
#include "cli/verb.h"

namespace moecollab::cli {
namespace {

// An option whose value is one of some words; the parser refuses others, naming the option.
template <typename Value>
CLI::Option* add_word(CLI::App& verb, const char* option, Value& value,
                      Value (*parse)(std::string_view text, std::string_view what),
                      const char* words, const char* help) {
  return verb
      .add_option_function<std::string>(
          option, [option, &value, parse](const std::string& word) { value = parse(word, option); },
          help)
      ->type_name(words)
      ->default_str(std::string(name(value)));
}

void add_objective(CLI::App& verb, training::GateTrainingOptions& options) {
  add_word(verb, "--entropy-sign", options.objective.entropy_sign, gate::parse_entropy_sign,
           "literal|explore",
           "literal: lambda1 times the entropy is added, as the paper prints it; explore: "
           "subtracted");
  verb.add_option("--prior", options.prior_source,
                  "What the balance term draws the experts' shares to: uniform, data, or a TOML or "
                  "JSON file of expert = share")
      ->type_name("uniform|data|FILE")
      ->capture_default_str();
  verb.add_option("--balance-window", options.objective.balance_window,
                  "Batches that the balance term looks back on; 0: one")
      ->capture_default_str();
  verb.add_option("--free-bits", options.objective.free_bits,
                  "Nats of the balance term that cost nothing")
      ->capture_default_str();
  verb.add_option("--switch", options.objective.switch_load,
                  "Weight of the Switch Transformer's load balancing term")
      ->capture_default_str();
  verb.add_option("--importance-cv2", options.objective.importance_cv2,
                  "Weight of the squared coefficient of variation of the experts' importance")
      ->capture_default_str();
  verb.add_option("--z-loss", options.objective.z_loss,
                  "Weight of the mean squared logsumexp of the gate")
      ->capture_default_str();
}

int64_t parse_top_k(const std::string& word) {
  int64_t k = 0;
  const char* end = word.data() + word.size();
  if (const auto [stop, error] = std::from_chars(word.data(), end, k);
      error != std::errc() || stop != end) {
    throw Error("E_CONFIG", fmt::format("--top-k is \"{}\", expected a whole number or auto",
                                        escaped(word, 40)));
  }
  return k;
}

}  // namespace

void add_top_k_or_auto(CLI::App& verb, training::GateTrainingOptions& options) {
  verb.add_option_function<std::string>(
          "--top-k",
          [&options](const std::string& word) {
            options.choose_top_k = word == "auto";
            options.top_k = options.choose_top_k ? 0 : parse_top_k(word);
          },
          "Experts run for a text; 0: all; auto: the fewest whose held-out accuracy is within 0.1 "
          "points of that of all")
      ->type_name("N|auto")
      ->default_str("0");
}

void refuse_auto(CLI::Option* top_k) {
  top_k->check([](const std::string& word) -> std::string {
    if (word != "auto") return "";
    throw Error("E_CONFIG",
                "--top-k auto is for train-gate alone, which chooses k on held-out training texts",
                "fit the gate with `moecollab train-gate --top-k auto`, or give a number here");
  });
}

void add_gate_fit(CLI::App& verb, training::GateTrainingOptions& options) {
  verb.add_option_function<std::string>(
          "--fusion",
          [&options](const std::string& word) { options.fusion = fusion::parse_mode(word); },
          "How the experts' answers become one")
      ->type_name("mixture|logit-union|masked|paper")
      ->default_str(std::string(name(options.fusion)));
  add_word(verb, "--gate", options.gate, training::parse_gate_kind, "factored|linear|mlp",
           "factored: between the label spaces, then within each; linear; mlp: one hidden layer "
           "(default under other fusions than mixture, or with --z-loss: linear)")
      ->default_str("factored")
      ->each([&options](const std::string&) { options.usual_gate = false; });
  verb.add_flag_function(
      "--no-guard", [&options](int64_t) { options.guard = false; },
      "Leave a space's shares as they were fitted, even if its best expert alone is right more "
      "often (sweep: of gates in two factors, others have no guard there)");
  verb.add_option("--gate-hidden", options.hidden, "Units of the mlp gate's hidden layer")
      ->capture_default_str();
  verb.add_flag("--calibrate", options.calibrate,
                "First fit each expert's temperature on held-out texts of its own labels");
  add_objective(verb, options);
  verb.add_option("--layers", options.layers,
                  "Encoder layers whose means the gate reads (default: first, middle, last)");
  verb.add_option("--gate-layer", options.gate_layer,
                  "The deepest layer that the gate reads, beside the first and the middle one of "
                  "those up to it; texts whose experts read no deeper stop there (default: last)");
  // Who sets one of AdamW's own options means AdamW.
  const auto chosen = [&options](const std::string&) { options.usual_optimizer = false; };
  add_word(verb, "--optimizer", options.optimizer, training::parse_gate_optimizer, "adamw|lbfgs",
           "adamw, or lbfgs: all texts at once; it finds its own step (default on a GPU: lbfgs)")
      ->each(chosen);
  verb.add_option("--epochs", options.epochs,
                  "Epochs (of lbfgs: iterations) at most; the best on a fifth of the texts counts")
      ->capture_default_str();
  verb.add_option("--lr", options.lr, "Learning rate of AdamW")
      ->capture_default_str()
      ->each(chosen);
  verb.add_option("--weight-decay", options.weight_decay,
                  "AdamW: decoupled; lbfgs: a penalty of half its square norm over the texts")
      ->capture_default_str();
  verb.add_option("--batch", options.batch, "Texts per step of AdamW")
      ->capture_default_str()
      ->each(chosen);
}

}  // namespace moecollab::cli
