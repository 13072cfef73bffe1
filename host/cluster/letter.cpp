#include "cluster/letter.h"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <stdexcept>

#include "base/json.h"
#include "base/strings.h"

namespace moecollab::cluster {
namespace {

// A mark, the kind, the length of a head in JSON, the head, and the piece.
constexpr std::string_view kMark = "moecollab/1 ";
constexpr std::string_view kKinds = "BPFG";
constexpr size_t kPrefix = kMark.size() + 1 + sizeof(uint32_t);

[[noreturn]] void refuse(const std::string& why) {
  throw Error("E_DIST", fmt::format("a letter that is damaged, or of another version: {}", why),
              "all ranks must run the same build of the program");
}

uint64_t number(const Json& head, const char* key) {
  const auto it = head.find(key);
  if (it == head.end() || !it->is_number_unsigned()) refuse(fmt::format("no number \"{}\"", key));
  return it->get<uint64_t>();
}

std::string text(const Json& head, const char* key) {
  const auto it = head.find(key);
  if (it == head.end() || !it->is_string()) refuse(fmt::format("no text \"{}\"", key));
  return it->get<std::string>();
}

Json head_of(const Letter& letter) {
  switch (letter.kind) {
    case Letter::Kind::kPart:
      return {{"step", letter.step},
              {"what", letter.what},
              {"offset", letter.offset},
              {"total", letter.total}};
    case Letter::Kind::kFarewell:
      return {{"culprit", static_cast<uint64_t>(letter.culprit)},
              {"code", letter.code},
              {"message", letter.message},
              {"hint", letter.hint}};
    default:
      return Json::object();
  }
}

void read_part(const Json& head, Letter& letter) {
  letter.step = number(head, "step");
  letter.what = text(head, "what");
  letter.offset = number(head, "offset");
  letter.total = number(head, "total");
  if (letter.offset > letter.total || letter.bytes.size() > letter.total - letter.offset)
    refuse(fmt::format("{} bytes at {} of {}", letter.bytes.size(), letter.offset, letter.total));
}

void read_farewell(const Json& head, Letter& letter) {
  const uint64_t culprit = number(head, "culprit");
  if (culprit > 1'000'000) refuse(fmt::format("rank {}", culprit));
  letter.culprit = static_cast<int>(culprit);
  letter.code = text(head, "code");
  letter.message = text(head, "message");
  letter.hint = text(head, "hint");
}

}  // namespace

std::string to_bytes(const Letter& letter) {
  const std::string head = to_line(head_of(letter));
  const auto size = static_cast<uint32_t>(head.size());
  std::string bytes(kMark);
  bytes.reserve(kPrefix + head.size() + letter.bytes.size());
  bytes += kKinds[static_cast<size_t>(letter.kind)];
  bytes.append(reinterpret_cast<const char*>(&size), sizeof size);
  return bytes.append(head).append(letter.bytes);
}

Letter parse_letter(std::string_view bytes) {
  if (bytes.size() < kPrefix || !bytes.starts_with(kMark))
    refuse(fmt::format("it begins with \"{}\"", escaped(bytes.substr(0, kMark.size()), 40)));
  const size_t kind = kKinds.find(bytes[kMark.size()]);
  if (kind == std::string_view::npos)
    refuse(fmt::format("kind \"{}\"", escaped(bytes.substr(kMark.size(), 1), 10)));
  uint32_t size = 0;
  std::memcpy(&size, bytes.data() + kMark.size() + 1, sizeof size);
  if (size > bytes.size() - kPrefix)
    refuse(fmt::format("a head of {} bytes in a letter of {}", size, bytes.size()));
  Json head;
  try {
    head = parse_json(bytes.substr(kPrefix, size));
  } catch (const std::invalid_argument& error) {
    refuse(error.what());
  }
  if (!head.is_object()) refuse("a head that is no object");
  Letter letter;
  letter.kind = static_cast<Letter::Kind>(kind);
  letter.bytes = bytes.substr(kPrefix + size);
  if (letter.kind == Letter::Kind::kPart) {
    read_part(head, letter);
  } else if (!letter.bytes.empty()) {
    refuse("bytes after its head");
  }
  if (letter.kind == Letter::Kind::kFarewell) read_farewell(head, letter);
  return letter;
}

}  // namespace moecollab::cluster
