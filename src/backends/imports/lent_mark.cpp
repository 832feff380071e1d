// SPDX-License-Identifier: MIT
#include "backends/imports/lent_mark.h"

#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <string_view>
#include <system_error>

#include "base/hash.h"
#include "base/text.h"
#include "base/xattrs.h"

namespace agentfs::imports {

namespace {

std::optional<std::uint16_t> check_in(std::string_view word) {
  std::uint16_t check = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), check, 16);
  const bool is_whole = error == std::errc() && end == word.data() + word.size();
  return is_whole ? std::optional(check) : std::nullopt;
}

}  // namespace

const char* lent_mark_name(bool trusted) {
  return trusted ? "trusted.agentfs.lent" : "user.agentfs.forest.lent";
}

std::uint16_t LentMark::check_of(const Entry& entry) const {
  std::string told = fmt::format("{} {} {}", entry.state.size, entry.state.modified, entry.path);
  if (blocks) told += fmt::format(" {}", *blocks);
  return static_cast<std::uint16_t>(fnv1a(told));
}

bool lend(int file, off_t size, const char* name, const LentMark& mark) {
  std::string value = fmt::format("{} {}", mark.import, mark.entry);
  if (mark.check) value += fmt::format(" {:04x}", *mark.check);
  if (mark.check && mark.blocks) value += fmt::format(" {}", *mark.blocks);
  return ::ftruncate(file, size) == 0 &&
         ::fsetxattr(file, name, value.data(), value.size(), 0) == 0;
}

std::optional<LentMark> lent_mark(int file, const char* name) {
  char value[64];
  const std::string path = fmt::format("/proc/self/fd/{}", file);
  const ssize_t size = ::getxattr(path.c_str(), name, value, sizeof value);
  if (size <= 0) return std::nullopt;
  const auto words = text::words({value, static_cast<std::size_t>(size)});
  const bool is_form = words.size() >= 2 && words.size() <= 4;
  const auto import = is_form ? text::number<std::uint32_t>(words[0]) : std::nullopt;
  const auto entry = is_form ? text::number<std::size_t>(words[1]) : std::nullopt;
  LentMark mark{.import = import.value_or(0), .entry = entry.value_or(0)};
  if (words.size() > 2) mark.check = check_in(words[2]);
  if (words.size() > 3) mark.blocks = text::number<std::int64_t>(words[3]);
  // A damaged mark must not pass for a file of its own, which would read as a hole.
  const bool is_whole = import && entry && mark.check.has_value() == (words.size() > 2) &&
                        mark.blocks.has_value() == (words.size() > 3);
  return is_whole ? mark : LentMark();
}

bool has_lent_mark(int file, const char* name) {
  const std::string path = fmt::format("/proc/self/fd/{}", file);
  if (::getxattr(path.c_str(), name, nullptr, 0) > 0) return true;
  if (errno != EACCES) return false;
  std::string names(kLongestXattr, '\0');
  const ssize_t size = ::listxattr(path.c_str(), names.data(), names.size());
  if (size <= 0) return false;
  names.resize(static_cast<std::size_t>(size));
  const auto all = text::split(names, '\0');
  return std::ranges::find(all, name) != all.end();
}

}  // namespace agentfs::imports
