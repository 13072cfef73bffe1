#include "experts/elf_facts.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/error.h"
#include "base/strings.h"

namespace moecollab::experts {
namespace {

// A file with more of them is no linker's.
constexpr size_t kMostVersions = 1000, kMostSegments = 256, kMostDynamic = 4096;
constexpr uint64_t kMostSymbols = 1'000'000;

// The tables that the dynamic section names, found through the program headers alone: section
// headers may be stripped.
class Image {
 public:
  Image(std::string_view bytes, const std::string& file) : bytes_(bytes), file_(file) {
    const auto header = at<Elf64_Ehdr>(0);
    require_at_most(kMostSegments, header.e_phnum, "segments");
    for (int i = 0; i < header.e_phnum; ++i)
      segments_.push_back(
          at<Elf64_Phdr>(header.e_phoff + static_cast<uint64_t>(i) * sizeof(Elf64_Phdr)));
  }

  const std::vector<Elf64_Phdr>& segments() const { return segments_; }

  template <typename T>
  T at(uint64_t offset) const {
    if (offset > bytes_.size() || sizeof(T) > bytes_.size() - offset) outside(offset);
    T value;
    std::memcpy(&value, bytes_.data() + offset, sizeof value);
    return value;
  }

  // The file offset of an address in memory.
  uint64_t offset_of(uint64_t address) const {
    for (const Elf64_Phdr& s : segments_) {
      if (s.p_type == PT_LOAD && address >= s.p_vaddr && address - s.p_vaddr < s.p_filesz)
        return s.p_offset + (address - s.p_vaddr);
    }
    outside(address);
  }

  std::string text(uint64_t offset) const {
    if (offset >= bytes_.size()) outside(offset);
    const std::string_view rest = bytes_.substr(offset);
    return std::string(rest.substr(0, std::min(rest.find('\0'), size_t{4096})));
  }

  void require_at_most(uint64_t most, uint64_t count, const char* what) const {
    if (count <= most) return;
    throw Error("E_ELF_BOUNDS",
                fmt::format("{}: {} {}, at most {} are read", file_, count, what, most),
                "build it again");
  }

 private:
  [[noreturn]] void outside(uint64_t offset) const {
    throw Error("E_ELF_BOUNDS",
                fmt::format("{}: a table at byte {} of a file of {}", file_, offset, bytes_.size()),
                "the file is damaged; build it again");
  }

  std::string_view bytes_;
  const std::string& file_;
  std::vector<Elf64_Phdr> segments_;
};

struct Dynamic {
  uint64_t strings = 0, symbols = 0, version_needs = 0, version_need_count = 0;
  uint64_t gnu_hash = 0, hash = 0, run_path = 0, audit = 0;
  bool has_run_path = false, has_audit = false;
  std::vector<uint64_t> needed;
  bool text_relocations = false;
};

Dynamic read_dynamic(const Image& image) {
  Dynamic d;
  for (const Elf64_Phdr& segment : image.segments()) {
    if (segment.p_type != PT_DYNAMIC) continue;
    const uint64_t entries = segment.p_filesz / sizeof(Elf64_Dyn);
    image.require_at_most(kMostDynamic, entries, "dynamic entries");
    for (uint64_t i = 0; i < entries; ++i) {
      const auto entry = image.at<Elf64_Dyn>(segment.p_offset + i * sizeof(Elf64_Dyn));
      const uint64_t value = entry.d_un.d_val;
      switch (entry.d_tag) {
        case DT_NULL:
          return d;
        case DT_STRTAB:
          d.strings = image.offset_of(value);
          break;
        case DT_SYMTAB:
          d.symbols = image.offset_of(value);
          break;
        case DT_GNU_HASH:
          d.gnu_hash = image.offset_of(value);
          break;
        case DT_HASH:
          d.hash = image.offset_of(value);
          break;
        case DT_VERNEED:
          d.version_needs = image.offset_of(value);
          break;
        case DT_VERNEEDNUM:
          d.version_need_count = value;
          break;
        case DT_NEEDED:
          d.needed.push_back(value);
          break;
        case DT_RPATH:
        case DT_RUNPATH:
          d.run_path = value;
          d.has_run_path = true;
          break;
        case DT_AUDIT:
        case DT_DEPAUDIT:
          d.audit = value;
          d.has_audit = true;
          break;
        case DT_TEXTREL:
          d.text_relocations = true;
          break;
        case DT_FLAGS:
          d.text_relocations = d.text_relocations || (value & DF_TEXTREL) != 0;
          break;
        default:
          break;
      }
    }
  }
  return d;
}

// Number of dynamic symbols: DT_HASH says it; of DT_GNU_HASH the end of the last chain does.
uint64_t symbol_count(const Image& image, const Dynamic& d) {
  if (d.hash != 0) return image.at<uint32_t>(d.hash + 4);
  if (d.gnu_hash == 0) return 0;
  const auto buckets = image.at<uint32_t>(d.gnu_hash), first = image.at<uint32_t>(d.gnu_hash + 4),
             bloom = image.at<uint32_t>(d.gnu_hash + 8);
  const uint64_t bucket_table = d.gnu_hash + 16 + uint64_t{bloom} * 8;
  const uint64_t chains = bucket_table + uint64_t{buckets} * 4;
  uint32_t last = 0;
  for (uint32_t i = 0; i < buckets; ++i)
    last = std::max(last, image.at<uint32_t>(bucket_table + uint64_t{i} * 4));
  if (last < first) return first;
  while ((image.at<uint32_t>(chains + uint64_t{last - first} * 4) & 1) == 0) ++last;
  return uint64_t{last} + 1;
}

void read_symbols(const Image& image, const Dynamic& d, ElfFacts& facts) {
  const uint64_t count = symbol_count(image, d);
  image.require_at_most(kMostSymbols, count, "symbols");
  for (uint64_t i = 1; i < count; ++i) {
    const auto symbol = image.at<Elf64_Sym>(d.symbols + i * sizeof(Elf64_Sym));
    const auto binding = ELF64_ST_BIND(symbol.st_info);
    const std::string name = image.text(d.strings + symbol.st_name);
    if (symbol.st_shndx == SHN_UNDEF) {
      if (binding == STB_GLOBAL) facts.undefined.push_back(name);
      continue;
    }
    const auto visibility = ELF64_ST_VISIBILITY(symbol.st_other);
    if (binding == STB_LOCAL || visibility == STV_HIDDEN || visibility == STV_INTERNAL) continue;
    if (symbol.st_shndx == SHN_ABS) continue;  // the names of a version script
    facts.exports.push_back(name);
    if (binding == STB_GNU_UNIQUE) facts.unique.push_back(name);
  }
}

void read_versions(const Image& image, const Dynamic& d, ElfFacts& facts) {
  uint64_t need = d.version_needs;
  for (uint64_t i = 0; i < d.version_need_count; ++i) {
    const auto file = image.at<Elf64_Verneed>(need);
    uint64_t aux = need + file.vn_aux;
    for (int j = 0; j < file.vn_cnt; ++j) {
      const auto version = image.at<Elf64_Vernaux>(aux);
      facts.versions.push_back(image.text(d.strings + version.vna_name));
      if (version.vna_next == 0 || facts.versions.size() > kMostVersions) break;
      aux += version.vna_next;
    }
    if (file.vn_next == 0 || facts.versions.size() > kMostVersions) break;
    need += file.vn_next;
  }
}

}  // namespace

ElfFacts read_elf(std::string_view bytes, const std::string& file) {
  const Image image(bytes, file);
  const Dynamic dynamic = read_dynamic(image);
  ElfFacts facts;
  for (const uint64_t name : dynamic.needed)
    facts.needed.push_back(image.text(dynamic.strings + name));
  if (dynamic.has_run_path) facts.run_path = image.text(dynamic.strings + dynamic.run_path);
  if (dynamic.has_audit) facts.audit = image.text(dynamic.strings + dynamic.audit);
  facts.text_relocations = dynamic.text_relocations;
  for (const Elf64_Phdr& segment : image.segments()) {
    const bool executable = (segment.p_flags & PF_X) != 0;
    if (segment.p_type == PT_GNU_STACK) facts.executable_stack = executable;
    if (segment.p_type == PT_LOAD && executable && (segment.p_flags & PF_W) != 0)
      facts.writable_code = true;
  }
  read_symbols(image, dynamic, facts);
  read_versions(image, dynamic, facts);
  return facts;
}

void require_plain(const ElfFacts& facts, const std::string& file) {
  const auto refuse = [&](const std::string& what) {
    throw Error("E_ELF_POLICY", fmt::format("{}: {}", file, what),
                "build it with moecollab_add_expert(), which asks the loader for nothing but the "
                "C and C++ runtimes and LibTorch");
  };
  if (!facts.run_path.empty())
    refuse(fmt::format("it has a search path of its own (RPATH or RUNPATH): {}",
                       escaped(facts.run_path, 200)));
  if (!facts.audit.empty())
    refuse(fmt::format("it asks for an auditor (DT_AUDIT): {}", escaped(facts.audit, 200)));
  if (facts.text_relocations) refuse("its code is relocated while it is loaded (DT_TEXTREL)");
  if (facts.executable_stack) refuse("its stack is executable (PT_GNU_STACK)");
  if (facts.writable_code) refuse("it has a segment that is writable and executable");
  const auto listed = [](const auto& list, const std::string& name) {
    return std::find(list.begin(), list.end(), name) != list.end();
  };
  for (const std::string& name : facts.needed) {
    if (!listed(kRuntimeLibraries, name) && !listed(kTorchLibraries, name))
      refuse(fmt::format("it needs {} (DT_NEEDED)", escaped(name, 120)));
  }
}

std::string needed_of_torch(const ElfFacts& facts) {
  for (const std::string& name : facts.needed)
    if (name.starts_with("libtorch") || name.starts_with("libc10")) return name;
  return "";
}

std::vector<int> greatest_version(const std::vector<std::string>& versions,
                                  std::string_view prefix) {
  std::vector<int> greatest;
  for (const std::string& version : versions) {
    if (!version.starts_with(prefix)) continue;
    std::vector<int> numbers;
    const char *at = version.data() + prefix.size(), *end = version.data() + version.size();
    while (at < end) {
      int number = 0;
      const auto [rest, error] = std::from_chars(at, end, number);
      if (error != std::errc{}) break;  // GLIBC_PRIVATE
      numbers.push_back(number);
      at = rest < end && *rest == '.' ? rest + 1 : end;
    }
    greatest = std::max(greatest, numbers);
  }
  return greatest;
}

}  // namespace moecollab::experts
