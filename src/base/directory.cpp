// SPDX-License-Identifier: MIT
#include "base/directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
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

std::unexpected<Error> fail_listing(int directory, std::string_view told_as) {
  const int code = errno;
  if (!told_as.empty()) return fail_errno(code, told_as);
  const std::string path = descriptor_path(directory);
  return fail_errno(code, path.empty() ? "a directory" : path);
}

}  // namespace

Result<std::vector<HostEntry>> list_directory(int directory, std::string_view told_as) {
  UniqueFd fd(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_listing(directory, told_as);
  const std::unique_ptr<DIR, CloseDirectory> open(::fdopendir(fd.get()));
  if (!open) return fail_listing(directory, told_as);
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
  if (errno != 0) return fail_listing(directory, told_as);
  return entries;
}

Result<std::vector<HostEntry>> list_directory(const std::string& path) {
  const UniqueFd directory(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return fail_errno(path);
  return list_directory(directory.get(), path);
}

Result<std::vector<HostEntry>> list_if_there(const std::string& path) {
  auto entries = list_directory(path);
  if (entries || entries.error().code != ENOENT) return entries;
  return std::vector<HostEntry>();
}

std::vector<HostEntry> entries_in(const std::string& path) {
  auto entries = list_directory(path);
  return entries ? *std::move(entries) : std::vector<HostEntry>();
}

std::vector<std::string> directories_in(const std::vector<HostEntry>& entries) {
  std::vector<std::string> names;
  for (const HostEntry& entry : entries) {
    if (S_ISDIR(entry.type)) names.push_back(entry.name);
  }
  return names;
}

// A level whose descriptor was given up is found again from below.
void walk_directories(int top, const VisitDirectory& visit) {
  constexpr std::size_t kOpen = 64;
  constexpr int kFlags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
  struct Level {
    UniqueFd directory;
    std::vector<std::string> left;  // the next one last
    std::size_t length = 0;         // of its path
  };
  std::vector<Level> levels;
  std::string path;
  const auto enter = [&](UniqueFd directory) {
    auto names = visit(directory.get(), path, levels.size());
    if (!directory || names.empty()) return;
    std::ranges::reverse(names);
    levels.push_back({std::move(directory), std::move(names), path.size()});
    if (levels.size() > kOpen) levels[levels.size() - 1 - kOpen].directory.reset();
  };
  enter(UniqueFd(::openat(top, ".", kFlags)));
  while (!levels.empty()) {
    Level& here = levels.back();
    path.resize(here.length);
    if (here.left.empty()) {
      const UniqueFd last = std::move(here.directory);
      levels.pop_back();
      if (levels.empty() || levels.back().directory) continue;
      levels.back().directory = UniqueFd(::openat(last.get(), "..", kFlags));
      continue;
    }
    const std::string name = std::move(here.left.back());
    here.left.pop_back();
    path.append(path.empty() ? "" : "/").append(name);
    enter(UniqueFd(::openat(here.directory.get(), name.c_str(), kFlags)));
  }
}

void walk_files(int top, const VisitFile& visit) {
  walk_directories(top, [&](int directory, const std::string& inside, std::size_t) {
    const auto entries = directory >= 0 ? list_directory(directory) : fail_errno(inside);
    if (!entries) return std::vector<std::string>();
    for (const HostEntry& entry : *entries) {
      if (entry.type != S_IFREG) continue;
      visit(directory, entry.name, inside.empty() ? entry.name : inside + "/" + entry.name);
    }
    return directories_in(*entries);
  });
}

std::string descriptor_path(int descriptor) {
  return link_target(AT_FDCWD, fmt::format("/proc/self/fd/{}", descriptor)).value_or("");
}

std::optional<std::string> link_target(int directory, const std::string& name) {
  std::array<char, PATH_MAX> target{};
  const ssize_t length = ::readlinkat(directory, name.c_str(), target.data(), target.size());
  if (length < 0) return std::nullopt;
  return std::string(target.data(), static_cast<std::size_t>(length));
}

}  // namespace agentfs
