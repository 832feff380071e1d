// SPDX-License-Identifier: MIT
#include "base/directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <memory>
#include <utility>

#include "base/file.h"

namespace agentfs {
namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

}  // namespace

Result<std::vector<HostEntry>> list_directory(int directory, std::string_view told_as) {
  UniqueFd fd(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno(std::string(told_as));
  const std::unique_ptr<DIR, CloseDirectory> open(::fdopendir(fd.get()));
  if (!open) return fail_errno(std::string(told_as));
  (void)fd.release();
  std::vector<HostEntry> entries;
  for (errno = 0; const dirent* item = ::readdir(open.get()); errno = 0) {
    HostEntry entry{item->d_name, item->d_ino, static_cast<mode_t>(DTTOIF(item->d_type))};
    if (entry.name == "." || entry.name == "..") continue;
    struct stat attributes{};
    if (item->d_type == DT_UNKNOWN &&
        ::fstatat(directory, item->d_name, &attributes, AT_SYMLINK_NOFOLLOW) == 0) {
      entry.type = attributes.st_mode & S_IFMT;
    }
    entries.push_back(std::move(entry));
  }
  if (errno != 0) return fail_errno(std::string(told_as));
  return entries;
}

std::optional<std::string> link_target(int directory, const std::string& name) {
  std::array<char, PATH_MAX> target{};
  const ssize_t length = ::readlinkat(directory, name.c_str(), target.data(), target.size());
  if (length < 0) return std::nullopt;
  return std::string(target.data(), static_cast<std::size_t>(length));
}

}  // namespace agentfs
