// SPDX-License-Identifier: MIT
#include "fs/vfs/descriptors.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <filesystem>

#include "base/file.h"
#include "base/text.h"

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

bool is_being_killed(pid_t process) {
  const auto stat = file::read(fmt::format("/proc/{}/stat", process));
  if (!stat) return false;
  // The fields of proc(5) behind the command, which may hold anything and ends at the last ')'.
  const auto fields = text::words(std::string_view(*stat).substr(stat->rfind(')') + 1));
  constexpr std::size_t kFlags = 6;
  constexpr std::size_t kExitCode = 49;
  constexpr unsigned long kExiting = 4;
  if (fields.size() <= kExitCode) return false;
  const auto flags = text::number<unsigned long>(fields[kFlags]).value_or(0);
  const auto code = text::number<int>(fields[kExitCode]).value_or(0);
  return (flags & kExiting) != 0 && WIFSIGNALED(code);
}

}  // namespace agentfs::vfs
