#include "registry/shapes.h"

#include <stdexcept>

#include "base/error.h"
#include "registry/beneath.h"
#include "registry/minisign.h"
#include "registry/names.h"
#include "registry/semver.h"

namespace moecollab::registry {
namespace {

// Whether `parse` takes the text.
template <typename Parse>
bool takes(const Parse& parse) {
  try {
    parse();
    return true;
  } catch (const std::invalid_argument&) {
    return false;
  } catch (const Error&) {
    return false;
  }
}

bool is_printable(std::string_view text) { return !text.empty() && !has_control(text); }

bool is_version(std::string_view text) {
  return takes([&] { Version::parse(text); });
}

bool is_sdk_version(std::string_view text) {
  return text.empty() || takes([&] { Version::parse_short(text); });
}

bool is_range(std::string_view text) {
  return takes([&] { VersionRange::parse(text); });
}

bool is_abi_version(std::string_view text) {
  int major = 0, minor = 0;
  return parse_abi_version(std::string(text), major, minor);
}

bool is_path(std::string_view text) {
  return takes([&] { check_relative(text); });
}

bool is_public_key(std::string_view text) {
  return takes([&] { PublicKey::parse(text); });
}

bool is_date(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return false;
  for (const size_t at : {0, 1, 2, 3, 5, 6, 8, 9})
    if (text[at] < '0' || text[at] > '9') return false;
  const int month = (text[5] - '0') * 10 + text[6] - '0',
            day = (text[8] - '0') * 10 + text[9] - '0';
  return month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

// Pieces of the patterns, which use no look-ahead: not every validator has it.
const std::string kName = "[a-z0-9_-]{1,64}";
const std::string kNumber = "(0|[1-9][0-9]{0,19})";
const std::string kPreReleasePart = "(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)";
const std::string kTwo = kNumber + "\\." + kNumber;
const std::string kThree =
    kTwo + "\\." + kNumber + "(-" + kPreReleasePart + "(\\." + kPreReleasePart + ")*)?";
const std::string kControl = "\\x00-\\x1f\\x7f-\\x9f";
// Neither empty nor "." nor "..".
const std::string kComponent =
    "(\\.?[^/." + kControl + "][^/" + kControl + "]*|\\.\\.[^/" + kControl + "]+)";

}  // namespace

const Shape kNameShape = {is_name, "^" + kName + "$"};
const Shape kIdShape = {is_id, "^" + kName + "(\\." + kName + ")+$"};
const Shape kLabelSpaceShape = {is_label_space,
                                "^" + kName + "(\\." + kName + ")*/[1-9][0-9]{0,8}$"};
const Shape kDigestShape = {is_digest, "^[0-9a-f]{64}$"};
const Shape kPrintableShape = {is_printable, "^[^" + kControl + "]+$"};
const Shape kVersionShape = {is_version, "^" + kThree + "$"};
const Shape kSdkShape = {is_sdk_version, "^(" + kTwo + "|" + kThree + ")?$"};
const Shape kRangeShape = {
    is_range, "^(\\*|=?" + kThree + "|(\\^|~|>=)(" + kNumber + "|" + kTwo + "|" + kThree + "))$"};
const Shape kAbiShape = {is_abi_version, "^(0|[1-9][0-9]{0,9})\\.(0|[1-9][0-9]{0,9})$"};
const Shape kPathShape = {is_path, "^" + kComponent + "(/" + kComponent + ")*$"};
const Shape kDateShape = {is_date, "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"};
// The line, or a whole .pub file that ends in it.
const Shape kPublicKeyShape = {is_public_key, "(^|\n)RW[Q-T][A-Za-z0-9+/]{53}\r?\n?$"};

}  // namespace moecollab::registry
