#include "data/entries.h"

#include <fmt/format.h>

#include "base/digest.h"
#include "base/error.h"
#include "data/byte_source.h"

namespace moecollab::data {
namespace {

void note_all(const fs::path& file, const std::vector<std::string>& notes, Log log) {
  for (const std::string& note : notes) log.note(fmt::format("{}: {}", shown_source(file), note));
}

}  // namespace

FileFacts for_each_entry(const fs::path& file, const Reading& reading, Need need, Log log,
                         const std::function<void(const Entry&)>& use) {
  RecordReader records(reading, is_standard_input(file) ? Format::kAuto : format_of(file), need);
  ByteSource source(file);
  Sha256 digest;
  source.on_stored_bytes([&](std::string_view bytes) { digest.update(bytes); });
  const auto take = [&] {
    while (const std::optional<Entry> entry = records.next()) use(*entry);
    note_all(file, records.take_notes(), log);
  };
  for (std::string_view bytes = source.read(); !bytes.empty(); bytes = source.read()) {
    records.feed(bytes);
    take();
  }
  records.finish();
  take();
  note_all(file, records.closing_notes(), log);
  return {to_hex(digest.finish()), records.format(), records.label_counts()};
}

void throw_refusal(const fs::path& file, const Refusal& refusal, const std::string& suffix) {
  throw Error(
      "E_DATA",
      fmt::format("{}:{}: {}{}", shown_source(file), place(refusal), refusal.reason, suffix),
      with_file(refusal.hint, file.string()));
}

}  // namespace moecollab::data
