// The verbs encode and tokenize.
#include <fmt/format.h>

#include <memory>

#include "base/error.h"
#include "cli/verb.h"
#include "data/text_source.h"
#include "encoder/encoder_folder.h"
#include "registry/registry_file.h"
#include "text/tokenizer.h"

namespace moecollab::cli {
namespace {

// The tokenizer that --encoder or the registry names, and its maximum length.
std::pair<text::Tokenizer, int> open_tokenizer(const engine::WhereOptions& options, Log log) {
  if (options.encoder) {
    const encoder::EncoderFolder opened =
        encoder::open_encoder_folder(*options.encoder, options.max_length);
    for (const std::string& note : opened.notes) log.note(note);
    return {text::Tokenizer::from_folder(opened.model, text::SpecialTokens::kSplit),
            opened.max_length};
  }
  const registry::EncoderEntry entry = registry::read_registry(options.registry).encoder;
  const fs::path folder =
      fs::path(entry.path).is_absolute() ? fs::path(entry.path) : options.registry / entry.path;
  const auto policy = entry.special_tokens == "literal" ? text::SpecialTokens::kLiteral
                                                        : text::SpecialTokens::kSplit;
  std::optional<int> max_length;
  if (entry.max_length) max_length = static_cast<int>(*entry.max_length);
  const encoder::EncoderFolder opened = encoder::open_encoder_folder(folder, max_length);
  return {text::Tokenizer::from_folder(opened.model, policy), opened.max_length};
}

int tokenize(const engine::CommonOptions& options, Log log, const std::vector<fs::path>& files,
             const data::Reading& reading) {
  const auto [tokenizer, max_length] = open_tokenizer(options, log);
  data::TextSource source(files, reading, log);
  int status = 0;
  while (std::optional<data::TextItem> item = source.next()) {
    Json line;
    if (const auto* bad = std::get_if<data::BadRecord>(&*item)) {
      line = data::to_json(*bad);
      status = exit_status("E_DATA");
    } else {
      const std::vector<int32_t> ids =
          tokenizer.encode(std::get<data::TextRecord>(*item).text, max_length).ids;
      line = {{"ids", ids}, {"tokens", Json::array()}};
      for (const int32_t id : ids) line["tokens"].push_back(tokenizer.token(id));
    }
    write_to_stdout(to_line(line) + "\n");
  }
  return status;
}

}  // namespace

void add_encode(Program& program) {
  auto options = std::make_shared<engine::EncodeOptions>();
  CLI::App& verb =
      add_verb(program, program.app, "encode", "Writes the encoder's pooled features of texts",
               "moecollab encode --input texts.jsonl --output features.safetensors --json");
  verb.add_option("--input", options->input, "JSONL, CSV, TSV or plain lines")
      ->type_name("FILE")
      ->required();
  verb.add_option("--output", options->output, "safetensors file to write")
      ->type_name("FILE")
      ->required();
  verb.add_option("--hidden", options->hidden,
                  "Also the token states of this layer (0: embeddings)");
  verb.add_option("--max-length", options->max_length, "Tokens per text, with --encoder")
      ->default_str(std::to_string(encoder::kDefaultMaxLength));
  add_reading(verb, options->reading, /*labels=*/false);
  verb.add_flag("--no-cache", options->no_cache,
                "encode never uses the feature cache; for scripts");
  add_common(verb, program, *options);
  add_ranks(verb, program);
  verb.callback([&program, options] {
    program.action = [&program, options] {
      const Json r = open_engine().encode(*options, program.context());
      if (!program.leads()) return 0;
      print_result(program, r,
                   fmt::format("{} texts, {} tokens in {:.3f} s: {:.0f} texts/s\n",
                               r["texts"].get<int64_t>(), r["tokens"].get<int64_t>(),
                               r["seconds"].get<double>(), r["texts_per_second"].get<double>()));
      return 0;
    };
  });
}

void add_tokenize(Program& program) {
  auto options = std::make_shared<engine::CommonOptions>();
  auto files = std::make_shared<std::vector<fs::path>>();
  auto reading = std::make_shared<data::Reading>();
  CLI::App& verb = add_verb(
      program, program.app, "tokenize", "Prints token ids and tokens of each text",
      "echo 'unwanted, running' | moecollab tokenize --encoder .deps/encoder/all-MiniLM-L6-v2");
  verb.add_option("files", *files,
                  "JSONL, CSV, TSV or plain lines; - is standard input (the default)")
      ->type_name("FILE");
  verb.add_option("--max-length", options->max_length, "Tokens per text, with --encoder")
      ->default_str(std::to_string(encoder::kDefaultMaxLength));
  add_reading(verb, *reading, /*labels=*/false);
  verb.add_option("--registry", options->registry, "Registry folder")
      ->type_name("FOLDER")
      ->envname("MOECOLLAB_REGISTRY")
      ->capture_default_str();
  verb.add_option("--encoder", options->encoder, "Encoder folder; then no registry is read")
      ->type_name("FOLDER")
      ->envname("MOECOLLAB_ENCODER");
  add_output(verb, program);
  verb.callback([&program, options, files, reading] {
    program.action = [&program, options, files, reading] {
      return tokenize(*options, program.context().log, *files, *reading);
    };
  });
}

}  // namespace moecollab::cli
