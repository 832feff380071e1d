// SPDX-License-Identifier: MIT
// The daemon's log: to stderr, and to a file when it runs in the background. Threads: all.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace agentfs::log {

enum class Level { debug, info, warning, error };

void write(Level level, std::string_view message);
// Sends the log to a file (rotated at 8 MiB, 3 kept) instead of stderr. False if it cannot be
// opened.
bool to_file(const std::string& path);
void set_level(Level level);
// Lines without time and level: for a program whose output another one logs.
void set_plain();

template <class... Args>
void debug(fmt::format_string<Args...> f, Args&&... args) {
  write(Level::debug, fmt::format(f, std::forward<Args>(args)...));
}
template <class... Args>
void info(fmt::format_string<Args...> f, Args&&... args) {
  write(Level::info, fmt::format(f, std::forward<Args>(args)...));
}
template <class... Args>
void warning(fmt::format_string<Args...> f, Args&&... args) {
  write(Level::warning, fmt::format(f, std::forward<Args>(args)...));
}
template <class... Args>
void error(fmt::format_string<Args...> f, Args&&... args) {
  write(Level::error, fmt::format(f, std::forward<Args>(args)...));
}

}  // namespace agentfs::log
