// SPDX-License-Identifier: MIT
#include "fs/vfs/descriptors.h"

#include <fmt/format.h>

#include <filesystem>

namespace agentfs::vfs {

bool has_descriptor(pid_t process, std::string_view path) {
  if (process <= 0) return false;
  // A name that was looked up again since is told as deleted: its node is of another version.
  constexpr std::string_view kDeleted = " (deleted)";
  std::error_code error;
  std::filesystem::directory_iterator entries(fmt::format("/proc/{}/fd", process), error);
  for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error)) {
    std::error_code gone;
    const std::string target = std::filesystem::read_symlink(entries->path(), gone).native();
    std::string_view name = target;
    if (name.ends_with(kDeleted)) name.remove_suffix(kDeleted.size());
    if (!gone && name.ends_with(path)) return true;
  }
  return false;
}

}  // namespace agentfs::vfs
