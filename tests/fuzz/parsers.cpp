#include "fuzz/parsers.h"

#include <stdexcept>
#include <utility>

#include "base/archive.h"
#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/unpack.h"
#include "data/records.h"
#include "experts/elf_facts.h"
#include "experts/scanner.h"
#include "registry/lock.h"
#include "registry/manifest.h"
#include "registry/minisign.h"
#include "registry/registry_file.h"
#include "text/normalizer.h"
#include "weights/checkpoint.h"
#include "weights/safetensors.h"
#include "worker/expert_words.h"

namespace moecollab::fuzz {
namespace {

using Bytes = std::string_view;

std::string file(const char* path) {
  return read_file(fs::path(MOECOLLAB_SOURCE_DIR) / path, "E_TEST");
}

void records(Bytes bytes, data::Format format) {
  data::RecordReader reader({.format = format}, format, data::Need::kTextAndLabel);
  reader.feed(bytes);
  reader.finish();
  while (reader.next()) {
  }
}

void unpacked(Bytes bytes) {
  Unpacker unpacker([left = bytes]() mutable { return std::exchange(left, {}); });
  try {
    while (!unpacker.next().empty()) {
    }
  } catch (const std::invalid_argument&) {
  }
}

void normalised(Bytes bytes) {
  const std::string text = text::normalize(text::repaired_utf8(bytes), {});
  text::WordSplitter words(text);
  text::WordSplitter::Word word;
  while (words.next(&word)) {
  }
  text::WordReader read(bytes, {});
  while (read.next(&word)) {
  }
}

void safetensors(Bytes bytes) {
  weights::Safetensors::from_bytes(std::string(bytes), "fuzz.safetensors");
}

constexpr uint64_t kSequence = 7;

std::string archive() { return to_archive({{"expert.toml", "id = 1\n"}, {"lib.so", "ELF"}}); }

// What an expert's process answers to `create`.
std::string reply() {
  worker::Reply reply;
  reply.sequence = kSequence;
  reply.facts.classes = 4;
  reply.facts.layer_count = 1;
  reply.facts.parameters = 1;
  reply.parameter.ndim = 2;
  reply.parameter.shape[0] = reply.parameter.shape[1] = 4;
  std::string_view("out.weight").copy(reply.parameter.name, sizeof reply.parameter.name - 1);
  return {reinterpret_cast<const char*>(&reply), sizeof reply};
}

void heard(Bytes bytes) {
  worker::Reply reply;
  bytes.copy(reinterpret_cast<char*>(&reply), sizeof reply);
  if (worker::word_of(reply, bytes.size(), kSequence) == worker::Word::kNonsense) return;
  worker::text_of(reply.code);
  worker::text_of(reply.message);
  worker::text_of(reply.parameter.name);
  worker::require_bounded("fuzz", reply.facts);
  worker::shape_of("fuzz", reply.parameter);
}

constexpr Parser kParsers[] = {
    {"json", [] { return std::string(R"({"a": [1, -2.5e3, "\u00e9"], "b": {"c": null}})"); },
     [](Bytes bytes) {
       try {
         parse_json(bytes);
       } catch (const std::invalid_argument&) {
       }
     }},
    {"registry", [] { return file("registry/registry.toml"); },
     [](Bytes bytes) { registry::parse_registry(bytes, "registry.toml"); }},
    {"manifest", [] { return file("registry/experts/example/expert.toml"); },
     [](Bytes bytes) { registry::parse_manifest(bytes, "expert.toml"); }},
    {"archive", archive, [](Bytes bytes) { from_archive(bytes, "fuzz.moec"); }},
    {"signature",
     [] {
       return std::string("untrusted comment: x\n") +
              "RUTDx1GfJjsTMBwq1hig1LTT5mXoWnKGCmNgumgvRR3Sme2IqHpdvhjAz3fJcR/"
              "S4xCK3+kbAfCAjm9BJm5pD1MRspxxm+ptTwY=\ntrusted comment: x 1.0.0\n"
              "avPTv5Ta+B1tFWMRbUmRL68iUwPotsLqoPabZQCV7wrUS14VxB83YcLuR+"
              "XorFKdvMvXM1wVdVdxcur79XEBAg==\n";
     },
     [](Bytes bytes) { registry::Signature::parse(bytes); }},
    {"safetensors",
     [] {
       const std::string header = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
       return static_cast<char>(header.size()) + std::string(7, '\0') + header +
              std::string(8, '\1');
     },
     safetensors},
    {"checkpoint_index",
     [] {
       return std::string(R"({"metadata":{"total_size":8},"weight_map":{"a":"1.safetensors"}})");
     },
     [](Bytes bytes) { weights::parse_checkpoint_index(bytes, "fuzz.json"); }},
    {"jsonl", [] { return file("samples/data/news/dev.jsonl"); },
     [](Bytes bytes) { records(bytes, data::Format::kJsonl); }},
    {"csv", [] { return std::string("text,label\r\n\"a \"\"quoted\"\" text\",x\nplain,y\n"); },
     [](Bytes bytes) { records(bytes, data::Format::kCsv); }},
    {"tsv", [] { return std::string("label\ttext\nx\ta text\ny\tanother\n"); },
     [](Bytes bytes) { records(bytes, data::Format::kTsv); }},
    {"json_array",
     [] {
       return std::string("[\n {\"text\": \"a\\ud83c\", \"label\": [\"x\"]},\n {\"id\": 7}\n]\n");
     },
     [](Bytes bytes) { records(bytes, data::Format::kJson); }},
    {"any_format",
     [] {
       return std::string("\xFF\xFEt\0e\0x\0t\0\t\0l\0a\0b\0e\0l\0\n\0a\0\t\0\"\0b\0\"\0", 34);
     },
     [](Bytes bytes) { records(bytes, data::Format::kAuto); }},
    {"packed",
     [] {
       return std::string(
           "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\xcb\xcf\x4b\xe5\x02\x00"
           "\x9f\xa8\x17\xf8\x04\x00\x00\x00",
           24);
     },
     unpacked},
    {"text",
     [] { return std::string("Caf\xC3\xA9 \xE4\xBD\xA0\xE5\xA5\xBD na\xC3\xAFve, don't!"); },
     normalised},
    {"library",
     [] {
       return file("tests/data/registry-0.3.0/registry/experts/food-adapter/1.0.0/libadapter.so");
     },
     [](Bytes bytes) {
       experts::scan_library(bytes, "fuzz.so");
       experts::require_plain(experts::read_elf(bytes, "fuzz.so"), "fuzz.so");
     }},
    {"lock",
     [] {
       const std::string digest(64, 'a');
       registry::Lock lock;
       lock.made_here = {digest};
       lock.entries.push_back({"news",
                               "org.example.news",
                               registry::Version::parse("1.0.0"),
                               digest,
                               digest,
                               registry::State::kReady,
                               "",
                               "",
                               {}});
       lock.quarantined.push_back({digest, "news", "E_IPC_DIED", "forward", "died of SIGSEGV",
                                   "the last line", "2026-11-30T01:02:03Z", "0.3.0"});
       return registry::lock_text(lock);
     },
     [](Bytes bytes) { registry::parse_lock(std::string(bytes), "registry.lock.toml"); }},
    {"reply", reply, heard},
};

}  // namespace

std::span<const Parser> parsers() { return kParsers; }

void try_parser(const Parser& parser, std::string_view bytes) {
  try {
    parser.parse(bytes);
  } catch (const Error&) {
  }
}

}  // namespace moecollab::fuzz
