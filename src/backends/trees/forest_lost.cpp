// SPDX-License-Identifier: MIT
#include "backends/trees/forest_lost.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>

#include "backends/trees/forest_open.h"
#include "base/directory.h"
#include "base/nanoseconds.h"
#include "base/text.h"

namespace agentfs::trees {
namespace {

std::optional<std::int64_t> changed_at(int directory) {
  struct stat its{};
  if (::fstat(directory, &its) != 0) return std::nullopt;
  return nanoseconds_of(its.st_mtim);
}

class LostHollows {
 public:
  LostHollows(ForestDisk& disk, const Line& line) : disk_(disk), line_(line) {}

  std::vector<LostHollow> find(int top);

 private:
  using Names = std::vector<std::string>;
  using Was = std::optional<Content>;
  Names look(int directory, const std::string& path, std::size_t depth);
  // What one of those in the last one read.
  Was read_below(const std::string& name);
  Was content_in(const Content& above, int from, const std::string& name);
  bool is_empty_since(int directory, const Content& was);
  std::optional<std::int64_t> time_of(const TreeNode& shelf);
  void look_for_another(int directory, const std::string& path, const FileMark& mark,
                        const Source& source);
  void know_states();
  void know_below(Content root);

  ForestDisk& disk_;
  const Line& line_;
  std::vector<LostHollow> found_;
  struct Told {
    std::string path;
    ino_t number = 0;
    std::optional<std::int64_t> time{};  // of the last change, of one that reads another
  };
  std::vector<Told> told_;  // by their own mark
  // Of the way to where the walk is, what was read when the fork was made, if it is known.
  std::vector<Was> were_;
  std::map<ino_t, std::vector<Content>> known_;  // of the states, by number
};

std::vector<LostHollow> LostHollows::find(int top) {
  const auto was = forked_at(disk_, line_);
  were_ = {was ? Was(*was) : std::nullopt};
  walk_directories(top, [this](int directory, const std::string& path, std::size_t depth) {
    return look(directory, path, depth);
  });
  if (!told_.empty()) know_states();
  for (const auto& [path, number, time] : told_) {
    const auto read = known_.find(number);
    if (read == known_.end() || read->second.size() != 1) continue;
    const Content& was = read->second.front();
    if (time && time != time_of(*was.shelf)) continue;
    found_.push_back({path, was.source});
  }
  return std::move(found_);
}

void LostHollows::know_states() {
  std::set<SnapshotId> states = line_.sources();
  if (line_.base()) states.insert(*line_.base());
  for (const SnapshotId& state : states) {
    if (auto root = content_of(disk_, state)) know_below(std::move(*root));
  }
}

void LostHollows::know_below(Content root) {
  std::vector<Content> left{std::move(root)};
  while (!left.empty()) {
    const Content one = std::move(left.back());
    left.pop_back();
    const auto shelf = disk_.table().borrow(*one.shelf);
    const auto from = disk_.table().borrow(*one.directory);
    const auto entries = from ? list_directory(from->get()) : fail_errno("");
    if (!shelf || !entries) continue;
    const FileMark mark = disk_.marks().file(Spot::of(shelf->get()));
    auto& alike = known_[disk_.id_of(mark, S_IFDIR, one.shelf->inode())];
    const bool is_known = std::ranges::any_of(
        alike, [&](const Content& other) { return other.directory == one.directory; });
    if (!is_known) alike.push_back(one);
    for (const std::string& name : directories_in(*entries)) {
      if (auto below = content_in(one, from->get(), name)) left.push_back(std::move(*below));
    }
  }
}

LostHollows::Was LostHollows::read_below(const std::string& name) {
  if (!were_.back()) return std::nullopt;
  const Content& above = *were_.back();
  const auto from = disk_.table().borrow(*above.directory);
  return from ? content_in(above, from->get(), name) : std::nullopt;
}

LostHollows::Was LostHollows::content_in(const Content& above, int from, const std::string& name) {
  auto below = disk_.below(above, from, name);
  return below ? Was(std::move(*below)) : std::nullopt;
}

LostHollows::Names LostHollows::look(int directory, const std::string& path, std::size_t depth) {
  if (directory < 0) return {};
  if (depth != 0) {
    were_.resize(depth, were_.front());
    were_.push_back(read_below(std::string(text::last_part(path))));
  }
  const Spot spot = Spot::of(directory);
  const FileMark mark = disk_.marks().file(spot);
  const auto source = disk_.marks().hollow(spot, &mark);
  const auto entries = list_directory(directory);
  if (!source && source.error().code == EBADMSG && mark.hollow && mark.id) {
    told_.push_back({path, *mark.id});
  }
  if (source && *source) look_for_another(directory, path, mark, **source);
  if (!source || *source || !entries) return {};
  const Was& was = were_.back();
  if (entries->empty() && was && is_empty_since(directory, *was)) {
    found_.push_back({path, was->source});
  }
  return directories_in(*entries);
}

bool LostHollows::is_empty_since(int directory, const Content& was) {
  const auto from = disk_.table().borrow(*was.directory);
  const auto wanted = from ? list_directory(from->get()) : fail_errno("");
  const auto time = changed_at(directory);
  return wanted && !wanted->empty() && time && time == time_of(*was.shelf);
}

std::optional<std::int64_t> LostHollows::time_of(const TreeNode& shelf) {
  const auto from = disk_.table().borrow(shelf);
  return from ? changed_at(from->get()) : std::nullopt;
}

// One with the very time of what it reads is read as it was made, whatever its number.
void LostHollows::look_for_another(int directory, const std::string& path, const FileMark& mark,
                                   const Source& source) {
  if (!other_number(disk_, mark, source)) return;
  const auto content = disk_.resolve(source);
  const auto time = changed_at(directory);
  if (content && time && time != time_of(*content->shelf)) told_.push_back({path, *mark.id, time});
}

}  // namespace

std::optional<ino_t> other_number(ForestDisk& disk, const FileMark& mark, const Source& source) {
  const auto content = mark.id ? disk.resolve(source) : fail(ENOENT, "no number");
  const auto shelf = content ? disk.table().borrow(*content->shelf) : fail(ENOENT, "nothing");
  if (!shelf) return std::nullopt;
  const FileMark read = disk.marks().file(Spot::of(shelf->get()));
  const ino_t number = disk.id_of(read, S_IFDIR, content->shelf->inode());
  return number == *mark.id ? std::nullopt : std::optional(number);
}

std::vector<LostHollow> find_lost_hollows(ForestDisk& disk, const Line& line,
                                          const std::string& name) {
  const UniqueFd root(::openat(disk.top(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  return root ? LostHollows(disk, line).find(root.get()) : std::vector<LostHollow>();
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
