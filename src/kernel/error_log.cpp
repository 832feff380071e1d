// SPDX-License-Identifier: MIT
#include "kernel/error_log.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/git_quoted.h"
#include "base/text.h"

namespace agentfs {
namespace {

constexpr std::size_t kKept = 200;

// One line a failure, whatever the sentence quotes.
std::string one_line(std::string_view text) {
  std::string line(text);
  std::ranges::replace_if(line, [](char c) { return c == '\n' || c == '\t' || c == '\r'; }, ' ');
  return text::to_utf8(line);
}

// As it is, where it can stand in a line of text; else quoted, so that it leads there all the same.
std::string shown_path(std::string_view path) {
  const bool is_plain = text::is_utf8(path) && std::ranges::none_of(path, [](unsigned char c) {
                          return c < ' ' || c == 0x7f;
                        });
  return is_plain ? std::string(path) : git_quoted(path);
}

}  // namespace

void ErrorLog::add(ProcessId pid, std::string_view where, const Error& error) {
  std::string line =
      fmt::format("{}\t{}\t{}\t{}\n", timestamp(clock_.wall()), errno_name(error.code),
                  shown_path(where), one_line(error.message));
  Lock lock(mutex_);
  std::deque<std::string>& lines = lines_[pid];
  lines.push_back(std::move(line));
  if (lines.size() > kKept) lines.pop_front();
}

std::string ErrorLog::text(ProcessId pid) const {
  Lock lock(mutex_);
  const auto found = lines_.find(pid);
  if (found == lines_.end()) return {};
  return fmt::format("{}", fmt::join(found->second, ""));
}

void ErrorLog::forget(ProcessId pid) {
  Lock lock(mutex_);
  lines_.erase(pid);
}

}  // namespace agentfs
