#include "weights/header.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "weights/header_screen.h"
#include "weights/refusal.h"

namespace moecollab::weights {
namespace {

using nlohmann::json;

constexpr size_t kMaxDepth = 8;
constexpr size_t kMaxDimensions = 64;

constexpr char kDuplicate[] = "E_ST_DUP";

// What a JSON value stands for, given by where it stands.
enum class Role {
  kRoot,
  kMetadata,
  kMetadataText,
  kTensor,
  kDType,
  kShape,
  kDimension,
  kOffsets,
  kOffset,
  kIgnored,
};

// Fills a Header from SAX events and refuses the first event that does not fit.
class HeaderReader {
 public:
  HeaderReader(std::string_view file, const ReadLimits& limits) : file_(file), limits_(limits) {}

  Header take() { return std::move(header_); }

  bool null() { return only_ignored(); }
  bool boolean(bool) { return only_ignored(); }
  bool number_integer(json::number_integer_t) { return only_ignored(); }
  bool number_float(json::number_float_t, const std::string&) { return only_ignored(); }
  bool binary(json::binary_t&) { return only_ignored(); }

  bool number_unsigned(json::number_unsigned_t value) {
    const Role role = next_role();
    if (role == Role::kDimension) {
      add_dimension(value);
    } else if (role == Role::kOffset) {
      if (offsets_ == 2) misfit(role);
      (offsets_++ == 0 ? tensor().begin : tensor().end) = value;
    } else if (role != Role::kIgnored) {
      misfit(role);
    }
    return true;
  }

  bool string(std::string& text) {
    const Role role = next_role();
    if (role == Role::kMetadataText) {
      header_.metadata[metadata_name_] = std::move(text);
    } else if (role == Role::kDType) {
      tensor().dtype = read_dtype(text);
    } else if (role != Role::kIgnored) {
      misfit(role);
    }
    return true;
  }

  bool key(std::string& name) {
    const Role parent = open_.back();
    if (parent == Role::kRoot) {
      begin_entry(name);
    } else if (parent == Role::kMetadata) {
      begin_metadata(name);
    } else if (parent == Role::kTensor) {
      begin_field(name);
    }
    return true;
  }

  bool start_object(size_t) {
    const Role role = next_role();
    if (role != Role::kRoot && role != Role::kMetadata && role != Role::kTensor &&
        role != Role::kIgnored) {
      misfit(role);
    }
    return open(role);
  }

  bool start_array(size_t) {
    const Role role = next_role();
    if (role != Role::kShape && role != Role::kOffsets && role != Role::kIgnored) misfit(role);
    return open(role);
  }

  bool end_object() {
    if (open_.back() == Role::kTensor) require_all_fields();
    open_.pop_back();
    return true;
  }

  bool end_array() {
    if (open_.back() == Role::kOffsets && offsets_ != 2) misfit(Role::kOffsets);
    open_.pop_back();
    return true;
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& error) {
    // The library's text is "[json.exception.parse_error.101] parse error at …: reason".
    std::string_view reason = error.what();
    const size_t start = reason.find("] ");
    if (start != std::string_view::npos) reason.remove_prefix(start + 2);
    refuse(
        file_, kNotHeader,
        fmt::format("the header is not JSON (byte {} of it): {}", position, escaped(reason, 160)));
  }

 private:
  // The fields that every tensor has, by the order of kFields.
  static constexpr std::array<std::string_view, 3> kFields{"dtype", "shape", "data_offsets"};
  static constexpr std::array<Role, 3> kFieldRoles{Role::kDType, Role::kShape, Role::kOffsets};

  HeaderEntry& tensor() { return header_.tensors.back(); }

  Role next_role() const {
    if (open_.empty()) return Role::kRoot;
    switch (open_.back()) {
      case Role::kMetadata:
        return Role::kMetadataText;
      case Role::kShape:
        return Role::kDimension;
      case Role::kOffsets:
        return Role::kOffset;
      case Role::kIgnored:
        return Role::kIgnored;
      default:
        return keyed_;
    }
  }

  bool only_ignored() {
    if (next_role() != Role::kIgnored) misfit(next_role());
    return true;
  }

  bool open(Role role) {
    if (open_.size() == kMaxDepth) {
      refuse(file_, kNotHeader,
             fmt::format("the header is nested deeper than {} levels", kMaxDepth));
    }
    open_.push_back(role);
    return true;
  }

  void begin_entry(std::string& name) {
    if (name == kMetadataKey) {
      if (metadata_seen_) refuse_duplicate(fmt::format("key `{}`", kMetadataKey));
      metadata_seen_ = true;
      keyed_ = Role::kMetadata;
      return;
    }
    if (header_.tensors.size() == limits_.max_tensors) {
      refuse(file_, kTooLarge,
             fmt::format("the header lists more than the {} tensors allowed", limits_.max_tensors));
    }
    header_.tensors.emplace_back().name = std::move(name);
    fields_seen_.fill(false);
    offsets_ = 0;
    keyed_ = Role::kTensor;
  }

  void begin_metadata(std::string& name) {
    if (header_.metadata.size() == limits_.max_tensors) {
      refuse(file_, kTooLarge,
             fmt::format("{} has more than the {} entries allowed", kMetadataKey,
                         limits_.max_tensors));
    }
    if (header_.metadata.contains(name)) {
      refuse_duplicate(fmt::format("{} key `{}`", kMetadataKey, shown(name)));
    }
    metadata_name_ = std::move(name);
  }

  void begin_field(const std::string& name) {
    const auto field = static_cast<size_t>(std::ranges::find(kFields, name) - kFields.begin());
    if (field == kFields.size()) {
      keyed_ = Role::kIgnored;
      return;
    }
    if (fields_seen_[field]) {
      refuse_duplicate(fmt::format("field `{}` of tensor `{}`", name, shown(tensor().name)));
    }
    fields_seen_[field] = true;
    keyed_ = kFieldRoles[field];
  }

  void add_dimension(uint64_t value) {
    if (tensor().shape.size() == kMaxDimensions) {
      refuse(file_, kNotHeader,
             fmt::format("tensor `{}`: more than {} dimensions", shown(tensor().name),
                         kMaxDimensions));
    }
    tensor().shape.push_back(static_cast<int64_t>(value));
  }

  DType read_dtype(const std::string& text) {
    if (const auto dtype = parse_dtype(text)) return *dtype;
    refuse(file_, kNotHeader,
           fmt::format("tensor `{}`: the format has no dtype \"{}\"{}", shown(tensor().name),
                       shown(text), dtype_suggestion(text)));
  }

  void require_all_fields() {
    for (size_t i = 0; i < kFields.size(); ++i) {
      if (fields_seen_[i]) continue;
      refuse(file_, kNotHeader,
             fmt::format("tensor `{}` has no `{}`", shown(tensor().name), kFields[i]));
    }
  }

  [[noreturn]] void refuse_duplicate(const std::string& what) const {
    refuse(file_, kDuplicate, what + " stands twice",
           "two readers could see different values; write the file again with one of them");
  }

  [[noreturn]] void misfit(Role role) const { refuse(file_, kNotHeader, expectation(role)); }

  std::string expectation(Role role) const {
    switch (role) {
      case Role::kRoot:
        return "the header must be a JSON object";
      case Role::kMetadata:
        return fmt::format("{} must be an object of strings", kMetadataKey);
      case Role::kMetadataText:
        return fmt::format("{}: `{}` must be a string", kMetadataKey, shown(metadata_name_));
      default:
        break;
    }
    const std::string name = shown(header_.tensors.back().name);
    switch (role) {
      case Role::kDType:
        return fmt::format("tensor `{}`: dtype must be a string", name);
      case Role::kShape:
      case Role::kDimension:
        return fmt::format("tensor `{}`: shape must be a list of integers from 0 to 2^64-1", name);
      case Role::kOffsets:
      case Role::kOffset:
        return fmt::format("tensor `{}`: data_offsets must be two integers from 0 to 2^64-1", name);
      default:
        return fmt::format("tensor `{}` must be an object with dtype, shape and data_offsets",
                           name);
    }
  }

  std::string_view file_;
  const ReadLimits& limits_;
  Header header_;
  std::vector<Role> open_;
  Role keyed_ = Role::kRoot;
  bool metadata_seen_ = false;
  std::string metadata_name_;
  std::array<bool, 3> fields_seen_{};
  int offsets_ = 0;
};

void refuse_duplicate_tensors(const Header& header, std::string_view file) {
  std::vector<std::string_view> names;
  names.reserve(header.tensors.size());
  for (const HeaderEntry& entry : header.tensors) names.push_back(entry.name);
  std::ranges::sort(names);
  const auto twice = std::ranges::adjacent_find(names);
  if (twice == names.end()) return;
  refuse(file, kDuplicate, fmt::format("tensor `{}` stands twice", shown(*twice)),
         "two readers could see different tensors; write the file again with distinct names");
}

}  // namespace

Header parse_header(std::string_view json_text, std::string_view file, const ReadLimits& limits) {
  // Padding, of any length.
  json_text = json_text.substr(0, json_text.find_last_not_of(" \t\n\r") + 1);
  screen_header(json_text, file);
  HeaderReader reader(file, limits);
  json::sax_parse(json_text.begin(), json_text.end(), &reader);
  Header header = reader.take();
  refuse_duplicate_tensors(header, file);
  return header;
}

}  // namespace moecollab::weights
