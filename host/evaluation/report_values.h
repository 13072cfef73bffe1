// Reading values of a report and writing them as text.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace moecollab::evaluation {

inline constexpr char kNoValue[] = "–";
inline constexpr size_t kMaxText = 4000;  // bytes of one cell that a page shows
inline constexpr char kReportSchema[] = "moecollab.report/1";

// Throws E_DATA unless `report` is an object of that schema.
void require_report(const Json& report);

using Path = std::initializer_list<std::string_view>;

// The value at a path of object keys; a null value if it or one of its parents is absent or null.
// Throws E_DATA naming the path if a parent is no object. The four below throw it for a value of
// another type.
const Json& value_at(const Json& root, Path path);
std::optional<double> number_at(const Json& root, Path path);
// Also a number or a truth value, as text.
std::optional<std::string> text_at(const Json& root, Path path);
// An empty object or array if absent.
const Json& object_at(const Json& root, Path path);
const Json& array_at(const Json& root, Path path);

// "0.851", "–" for no value.
std::string score(std::optional<double> value);
// "1,234,567"; a value that is not whole keeps two digits.
std::string count(std::optional<double> value);
// 0.7994 is "79.9 %".
std::string percent(std::optional<double> value);
// `digits` digits after the point.
std::string decimal(std::optional<double> value, int digits);
// 0.0131 is "+1.31".
std::string points(std::optional<double> change);
// "[-0.31, +0.52]" of an object with low and high, in points; "" without them.
std::string bounds(const Json& change);
// 1.5e9 is "1.50 G": thousands as k, M, G, T, and then the unit.
std::string scaled(std::optional<double> value, std::string_view unit);
// 3221225472 is "3.00 GiB".
std::string bytes(std::optional<double> value);
std::string text_or_none(const std::optional<std::string>& value);
// Every entry of an array of texts, "none" if it is empty, "–" if it is null.
std::string list(const Json& values);

}  // namespace moecollab::evaluation
