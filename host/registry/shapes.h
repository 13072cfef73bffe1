// How strings of registry.toml and expert.toml must look.
#pragma once

#include "base/record.h"

namespace moecollab::registry {

extern const Shape kNameShape;        // is_name()
extern const Shape kIdShape;          // is_id()
extern const Shape kLabelSpaceShape;  // is_label_space()
extern const Shape kDigestShape;      // is_digest()
extern const Shape kPrintableShape;   // some characters, and no control character
extern const Shape kVersionShape;     // Version::parse()
extern const Shape kSdkShape;         // Version::parse_short(), or nothing
extern const Shape kRangeShape;       // VersionRange::parse()
extern const Shape kAbiShape;         // parse_abi_version()
extern const Shape kPathShape;        // check_relative()
extern const Shape kPublicKeyShape;   // PublicKey::parse()
extern const Shape kDateShape;        // a day of the calendar, "2027-12-31"

}  // namespace moecollab::registry
