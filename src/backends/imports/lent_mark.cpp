// SPDX-License-Identifier: MIT
#include "backends/imports/lent_mark.h"

#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"
#include "base/xattrs.h"

namespace agentfs::imports {

const char* lent_mark_name(bool trusted) {
  return trusted ? "trusted.agentfs.lent" : "user.agentfs.forest.lent";
}

bool lend(int file, off_t size, const char* name, const LentMark& mark) {
  const std::string value = fmt::format("{} {}", mark.import, mark.entry);
  return ::ftruncate(file, size) == 0 &&
         ::fsetxattr(file, name, value.data(), value.size(), 0) == 0;
}

std::optional<LentMark> lent_mark(int file, const char* name) {
  char value[64];
  const std::string path = fmt::format("/proc/self/fd/{}", file);
  const ssize_t size = ::getxattr(path.c_str(), name, value, sizeof value);
  if (size <= 0) return std::nullopt;
  const auto words = text::words({value, static_cast<std::size_t>(size)});
  const auto import = words.size() == 2 ? text::number<std::uint32_t>(words[0]) : std::nullopt;
  const auto entry = words.size() == 2 ? text::number<std::size_t>(words[1]) : std::nullopt;
  // A damaged mark must not pass for a file of its own, which would read as a hole.
  return LentMark{import.value_or(0), entry.value_or(0)};
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
