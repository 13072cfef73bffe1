// What the reader of data files costs by itself: reads one file, drops what it reads, prints a line
// of JSON. tests/bench/reader.py compares it with pandas and zcat.
#include <fmt/format.h>

#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/error.h"
#include "base/files.h"
#include "base/measure.h"
#include "data/byte_source.h"
#include "data/records.h"

namespace moecollab {
namespace {

struct Counts {
  int64_t records = 0, refused = 0, bytes = 0;
};

// Texts and labels, as training reads them, without keeping any.
Counts read_records(const fs::path& file) {
  data::ByteSource source(file);
  data::RecordReader reader({}, data::format_of(file), data::Need::kTextAndLabel);
  Counts counts;
  const auto take = [&] {
    while (const std::optional<data::Entry> entry = reader.next())
      ++(std::holds_alternative<data::Record>(*entry) ? counts.records : counts.refused);
  };
  for (std::string_view bytes = source.read(); !bytes.empty(); bytes = source.read()) {
    counts.bytes += static_cast<int64_t>(bytes.size());
    reader.feed(bytes);
    take();
  }
  reader.finish();
  take();
  return counts;
}

// The bytes alone, unpacked.
Counts read_bytes(const fs::path& file) {
  data::ByteSource source(file);
  Counts counts;
  for (std::string_view bytes = source.read(); !bytes.empty(); bytes = source.read())
    counts.bytes += static_cast<int64_t>(bytes.size());
  return counts;
}

int run(std::string_view what, const fs::path& file) {
  const Stopwatch watch;
  const Counts counts = what == "records" ? read_records(file) : read_bytes(file);
  fmt::print(R"({{"records": {}, "refused": {}, "bytes": {}, "seconds": {:.3f}, "peak_bytes": {}}})"
             "\n",
             counts.records, counts.refused, counts.bytes, watch.seconds(), peak_rss_bytes());
  return 0;
}

}  // namespace
}  // namespace moecollab

int main(int argc, char** argv) {
  const std::string_view what = argc == 3 ? argv[1] : "";
  if (what != "records" && what != "bytes") {
    fmt::print(stderr, "usage: bench_reader records|bytes FILE\n");
    return 2;
  }
  try {
    return moecollab::run(what, argv[2]);
  } catch (const moecollab::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
