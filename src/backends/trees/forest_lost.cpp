// SPDX-License-Identifier: MIT
#include "backends/trees/forest_lost.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "backends/trees/forest_open.h"
#include "base/directory.h"
#include "base/nanoseconds.h"
#include "base/text.h"

namespace agentfs::trees {
namespace {

class LostHollows {
 public:
  LostHollows(ForestDisk& disk, std::vector<LostHollow>& found) : disk_(disk), found_(found) {}

  // `was` is what the directory read when the fork was made.
  void walk(int top, const Content& was);

 private:
  using Names = std::vector<std::string>;
  Names look(int directory, const std::string& path, std::size_t depth);
  // What one of those in the last one read.
  std::optional<Content> read_below(const std::string& name);
  bool has_its_time(int directory, const TreeNode& shelf);

  ForestDisk& disk_;
  std::vector<LostHollow>& found_;
  std::vector<Content> were_;  // of the way to where the walk is
};

void LostHollows::walk(int top, const Content& was) {
  were_ = {was};
  walk_directories(top, [this](int directory, const std::string& path, std::size_t depth) {
    return look(directory, path, depth);
  });
}

std::optional<Content> LostHollows::read_below(const std::string& name) {
  const Content& above = were_.back();
  const auto from = disk_.table().borrow(*above.directory);
  if (!from) return std::nullopt;
  auto source = disk_.source_of(above, from->get(), name);
  auto below = source ? disk_.resolve(std::move(*source)) : std::unexpected(source.error());
  return below ? std::optional(std::move(*below)) : std::nullopt;
}

LostHollows::Names LostHollows::look(int directory, const std::string& path, std::size_t depth) {
  if (directory < 0) return {};
  if (depth != 0) {
    were_.resize(depth, were_.front());
    auto below = read_below(std::string(text::last_part(path)));
    if (!below) return {};
    were_.push_back(std::move(*below));
  }
  const Content& was = were_.back();
  const auto mark = disk_.marks().hollow(Spot::of(directory));
  const auto entries = list_directory(directory);
  const auto from = disk_.table().borrow(*was.directory);
  if (!mark || *mark || !entries || !from) return {};
  if (entries->empty()) {
    const auto wanted = list_directory(from->get());
    const bool is_lost = wanted && !wanted->empty() && has_its_time(directory, *was.shelf);
    if (is_lost) found_.push_back({path, was.source});
    return {};
  }
  return directories_in(*entries);
}

bool LostHollows::has_its_time(int directory, const TreeNode& shelf) {
  const auto from = disk_.table().borrow(shelf);
  struct stat its{};
  struct stat there{};
  return from && ::fstat(directory, &its) == 0 && ::fstat(from->get(), &there) == 0 &&
         nanoseconds_of(its.st_mtim) == nanoseconds_of(there.st_mtim);
}

}  // namespace

std::vector<LostHollow> find_lost_hollows(ForestDisk& disk, const Line& line,
                                          const std::string& name) {
  std::vector<LostHollow> found;
  const auto was = forked_at(disk, line);
  const UniqueFd root(::openat(disk.top(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (was && root) LostHollows(disk, found).walk(root.get(), *was);
  return found;
}

bool reads_from(ForestDisk& disk, int above, const std::string& name,
                std::optional<std::uint32_t> line) {
  const UniqueFd top(::openat(above, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  bool reads = false;
  if (!top) return false;
  walk_directories(top.get(), [&](int directory, const std::string&, std::size_t) {
    const auto entries = directory >= 0 && !reads ? list_directory(directory) : fail_errno(name);
    if (!entries) return std::vector<std::string>();
    const auto source = disk.marks().hollow(Spot::of(directory));
    if (source && !*source) return directories_in(*entries);
    reads = !line || (source && (*source)->line == *line);
    return std::vector<std::string>();
  });
  return reads;
}

}  // namespace agentfs::trees
