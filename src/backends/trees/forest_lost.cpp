// SPDX-License-Identifier: MIT
#include "backends/trees/forest_lost.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "backends/trees/forest_open.h"
#include "base/directory.h"
#include "base/nanoseconds.h"

namespace agentfs::trees {
namespace {

class LostHollows {
 public:
  LostHollows(ForestDisk& disk, std::vector<LostHollow>& found) : disk_(disk), found_(found) {}

  // `was` is what the directory read when the fork was made.
  void walk(const UniqueFd& directory, const std::string& path, const Content& was);

 private:
  bool has_its_time(const UniqueFd& directory, const TreeNode& shelf);

  ForestDisk& disk_;
  std::vector<LostHollow>& found_;
};

void LostHollows::walk(const UniqueFd& directory, const std::string& path, const Content& was) {
  const auto mark = disk_.marks().hollow(Spot::of(directory.get()));
  const auto entries = list_directory(directory.get());
  const auto from = disk_.table().borrow(*was.directory);
  if (!mark || *mark || !entries || !from) return;
  if (entries->empty()) {
    const auto wanted = list_directory(from->get());
    const bool is_lost = wanted && !wanted->empty() && has_its_time(directory, *was.shelf);
    if (is_lost) found_.push_back({path, was.source});
    return;
  }
  for (const HostEntry& entry : *entries) {
    if (entry.type != S_IFDIR) continue;
    const UniqueFd fd(
        ::openat(directory.get(), entry.name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    const auto source = disk_.source_of(was, from->get(), entry.name);
    const auto below = source ? disk_.resolve(*source) : std::unexpected(source.error());
    if (fd && below) walk(fd, path.empty() ? entry.name : path + "/" + entry.name, *below);
  }
}

bool LostHollows::has_its_time(const UniqueFd& directory, const TreeNode& shelf) {
  const auto from = disk_.table().borrow(shelf);
  struct stat its{};
  struct stat there{};
  return from && ::fstat(directory.get(), &its) == 0 && ::fstat(from->get(), &there) == 0 &&
         nanoseconds_of(its.st_mtim) == nanoseconds_of(there.st_mtim);
}

}  // namespace

std::vector<LostHollow> find_lost_hollows(ForestDisk& disk, const Line& line,
                                          const std::string& name) {
  std::vector<LostHollow> found;
  const auto was = forked_at(disk, line);
  const UniqueFd root(::openat(disk.top(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (was && root) LostHollows(disk, found).walk(root, "", *was);
  return found;
}

bool reads_from(ForestDisk& disk, int above, const std::string& name,
                std::optional<std::uint32_t> line) {
  const UniqueFd fd(::openat(above, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  const auto entries = fd ? list_directory(fd.get()) : fail_errno(name);
  if (!entries) return false;
  const auto source = disk.marks().hollow(Spot::of(fd.get()));
  if (!source || *source) return !line || (source && (*source)->line == *line);
  return std::ranges::any_of(*entries, [&](const HostEntry& entry) {
    return entry.type == S_IFDIR && reads_from(disk, fd.get(), entry.name, line);
  });
}

}  // namespace agentfs::trees
