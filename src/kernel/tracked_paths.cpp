// SPDX-License-Identifier: MIT
#include "kernel/tracked_paths.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "base/log.h"
#include "base/text.h"
#include "kernel/tree_path.h"

namespace agentfs {
namespace {

constexpr std::size_t kHeader = 12;  // signature, version, number of entries
constexpr std::size_t kEntry = 62;   // what stands before the name
constexpr std::size_t kMode = 24;    // in it
constexpr std::size_t kFlags = 60;   // in it
constexpr unsigned kIsExtended = 0x4000;

// 16 or 32 bits, most significant byte first.
unsigned number_at(std::string_view text, std::size_t at, std::size_t bytes) {
  unsigned value = 0;
  for (std::size_t i = 0; i < bytes; ++i) {
    value = value << 8 | static_cast<unsigned char>(text[at + i]);
  }
  return value;
}

std::unexpected<Error> cut() { return fail(EBADMSG, "an index of git: cut short"); }

// One entry after the other, from the first.
class Entries {
 public:
  Entries(std::string_view index, unsigned version) : left_(index), version_(version) {}

  struct Entry {
    mode_t mode = 0;
    std::string path{};
  };
  Result<Entry> next() {
    if (left_.size() < kEntry) return cut();
    const bool is_extended = (number_at(left_, kFlags, 2) & kIsExtended) != 0 && version_ > 2;
    const auto mode = static_cast<mode_t>(number_at(left_, kMode, 4));
    std::size_t at = kEntry + (is_extended ? 2 : 0);
    if (version_ == 4) path_.resize(path_.size() - TRY(stripped(at)));
    const auto end = left_.find('\0', at);
    if (end == std::string_view::npos) return cut();
    if (version_ != 4) path_.clear();
    path_ += left_.substr(at, end - at);
    // One to eight bytes of padding, with the one at the end of the name.
    const std::size_t size = version_ == 4 ? end + 1 : (end + 8) / 8 * 8;
    left_.remove_prefix(std::min(size, left_.size()));
    return Entry{.mode = mode, .path = path_};
  }
  // Behind the last one there are extensions, each with its name and its size, and a checksum.
  Status check_rest() const {
    constexpr std::size_t kChecksum = 20;
    constexpr std::size_t kHead = 8;
    std::string_view rest = left_;
    while (rest.size() > kChecksum) {
      if (rest.size() < kHead + kChecksum) return cut();
      if (rest.starts_with("link")) return fail(ENOTSUP, "an index of git: a split one");
      const std::size_t size = kHead + number_at(rest, 4, 4);
      if (size > rest.size() - kChecksum) return cut();
      rest.remove_prefix(size);
    }
    return rest.size() == kChecksum ? ok() : cut();
  }

 private:
  // How many bytes of the last path this one has not; behind it begins its own.
  Result<std::size_t> stripped(std::size_t& at) const {
    std::size_t count = 0;
    for (bool is_first = true;; is_first = false) {
      if (at >= left_.size()) return cut();
      const auto byte = static_cast<unsigned char>(left_[at++]);
      count = ((count + (is_first ? 0 : 1)) << 7) | (byte & 0x7fu);
      if (count > path_.size()) return fail(EBADMSG, "an index of git: a path has no beginning");
      if ((byte & 0x80u) == 0) return count;
    }
  }

  std::string_view left_;
  unsigned version_;
  std::string path_{};  // the last one
};

}  // namespace

Result<TrackedPaths> TrackedPaths::parse(std::string_view index) {
  if (index.size() < kHeader || !index.starts_with("DIRC")) {
    return fail(EBADMSG, "an index of git: begins otherwise");
  }
  const unsigned version = number_at(index, 4, 4);
  if (version < 2 || version > 4) return fail(EBADMSG, "an index of git: of version {}", version);
  TrackedPaths tracked;
  Entries entries(index.substr(kHeader), version);
  for (unsigned left = number_at(index, 8, 4); left > 0; --left) {
    Entries::Entry entry = TRY(entries.next());
    if (S_ISREG(entry.mode) || S_ISLNK(entry.mode)) tracked.paths_.push_back(std::move(entry.path));
  }
  TRY(entries.check_rest());
  // As they are; but for the stages of a conflict, which are one path.
  std::sort(tracked.paths_.begin(), tracked.paths_.end());
  const auto twice = std::ranges::unique(tracked.paths_);
  tracked.paths_.erase(twice.begin(), twice.end());
  return tracked;
}

Result<TrackedPaths> TrackedPaths::read(TreeStore& store, const TreeNode& root) {
  const auto git = store.lookup(root, ".git");
  if (!git && git.error().code == ENOENT) return TrackedPaths();
  if (!git) return std::unexpected(git.error());
  if (!S_ISDIR(git->attributes.st_mode)) return fail(ENOTSUP, ".git is no directory");
  const auto file = store.lookup(*git->node, "index");
  if (!file && file.error().code == ENOENT) return TrackedPaths();
  if (!file) return std::unexpected(file.error());
  if (!S_ISREG(file->attributes.st_mode)) return fail(ENOTSUP, ".git/index is no file");
  return parse(TRY(read_file(store, *file->node)));
}

TrackedPaths TrackedPaths::of(TreeStore& store, const TreeNode& root) {
  auto tracked = read(store, root);
  if (tracked) return *std::move(tracked);
  log::warning(".git/index: not known what it tracks: {}", tracked.error().message);
  return {};
}

bool TrackedPaths::contains(std::string_view path) const {
  return std::binary_search(paths_.begin(), paths_.end(), path);
}

std::vector<std::string> TrackedPaths::below(std::string_view directory) const {
  const std::string start = fmt::format("{}/", directory);
  const auto first = std::ranges::lower_bound(paths_, start);
  const auto last = std::find_if_not(
      first, paths_.end(), [&](const std::string& path) { return path.starts_with(start); });
  return {first, last};
}

std::vector<std::string> TrackedPaths::missing_in(const TrackedPaths& other) const {
  std::vector<std::string> missing;
  std::ranges::set_difference(paths_, other.paths_, std::back_inserter(missing));
  return missing;
}

}  // namespace agentfs
