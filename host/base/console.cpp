#include "base/console.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

namespace moecollab {
namespace {

ConsoleSettings g_settings;

void line(std::string_view label, const char* colour, std::string_view message) {
  if (g_settings.colour) {
    fmt::print(stderr, "\033[{}m{}\033[0m: {}\n", colour, label, message);
  } else {
    fmt::print(stderr, "{}: {}\n", label, message);
  }
}

}  // namespace

void set_console(const ConsoleSettings& settings) { g_settings = settings; }
const ConsoleSettings& console() { return g_settings; }

void print_note(std::string_view message) {
  if (!g_settings.quiet) fmt::print(stderr, "{}\n", message);
}

void print_warning(std::string_view message) { line("warning", "33", message); }

Progress::Progress(std::string what, int64_t total, std::string unit)
    : what_(std::move(what)), unit_(std::move(unit)), total_(total) {}

Progress::~Progress() {
  if (drawn_ && g_settings.terminal) fmt::print(stderr, "\r\033[K");
}

void Progress::advance(int64_t steps, std::string_view detail) {
  done_ += steps;
  const auto interval =
      g_settings.terminal ? std::chrono::milliseconds(200) : std::chrono::seconds(5);
  const auto now = Clock::now();
  if (g_settings.quiet || now - start_ < std::chrono::seconds(1) || now - last_ < interval) return;
  last_ = now;
  draw(detail);
}

void Progress::draw(std::string_view detail) {
  const double seconds = std::chrono::duration<double>(last_ - start_).count();
  const double rate = static_cast<double>(done_) / seconds;
  const double left =
      static_cast<double>(std::max<int64_t>(0, total_ - done_)) / std::max(rate, 1e-9);
  std::string text =
      fmt::format("{}: {}/{} {}, {:.0f}/s, {:.0f} s left", what_, done_, total_, unit_, rate, left);
  if (!detail.empty()) text += fmt::format(", {}", detail);
  if (g_settings.terminal) {
    fmt::print(stderr, "\r\033[K{}", text);
  } else {
    fmt::print(stderr, "{}\n", text);
  }
  drawn_ = true;
}

}  // namespace moecollab
