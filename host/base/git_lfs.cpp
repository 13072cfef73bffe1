#include "base/git_lfs.h"

#include <fmt/format.h>

#include <array>
#include <fstream>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab {
namespace {

constexpr std::string_view kFirstLine = "version https://git-lfs";
constexpr std::string_view kSize = "\nsize ";

// The first bytes of a file, or none; a pointer has less than 200.
std::string head_of(const fs::path& file) {
  std::error_code unknown;
  if (!fs::is_regular_file(file, unknown)) return {};
  std::array<char, 512> bytes{};
  std::ifstream stream(file, std::ios::binary);
  stream.read(bytes.data(), bytes.size());
  return {bytes.data(), static_cast<size_t>(stream.gcount())};
}

}  // namespace

void refuse_lfs_pointer(const fs::path& file, const std::string& code) {
  const std::string head = head_of(file);
  if (!head.starts_with(kFirstLine)) return;
  std::string size = "the file";
  if (const size_t at = head.find(kSize); at != std::string::npos) {
    const size_t from = at + kSize.size();
    size = fmt::format(
        "{} bytes", escaped(std::string_view(head).substr(from, head.find('\n', from) - from), 24));
  }
  throw Error(code, fmt::format("{} is a pointer of git-lfs in place of {}", shown(file), size),
              fmt::format("`git lfs pull` in {} fetches it", shown(file.parent_path())));
}

}  // namespace moecollab
