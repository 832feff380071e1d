// SPDX-License-Identifier: MIT
#include "kernel/git_index.h"

#include <sys/stat.h>

#include <algorithm>

#include "kernel/tree_path.h"

namespace agentfs {
namespace {

constexpr std::size_t kHeader = 12;  // signature, version, number of entries
constexpr std::size_t kEntry = 62;   // what stands before the name
constexpr std::size_t kId = 40;      // in it
constexpr std::size_t kFlags = 60;   // in it
constexpr unsigned kIsExtended = 0x4000;
constexpr unsigned kStage = 0x3000;
constexpr unsigned kIsIntended = 0x2000;     // in the flags of an extended one
constexpr unsigned kSkipsWorktree = 0x4000;  // the same

// 16 or 32 bits, most significant byte first.
std::uint32_t number_at(std::string_view text, std::size_t at, std::size_t bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) {
    value = value << 8 | static_cast<unsigned char>(text[at + i]);
  }
  return value;
}

// Seconds and nanoseconds.
timespec time_at(std::string_view text, std::size_t at) {
  return {.tv_sec = number_at(text, at, 4), .tv_nsec = number_at(text, at + 4, 4)};
}

std::unexpected<Error> cut() { return fail(EBADMSG, "an index of git: cut short"); }

// One entry after the other, from the first.
class Entries {
 public:
  Entries(std::string_view index, unsigned version) : left_(index), version_(version) {}

  Result<IndexEntry> next() {
    if (left_.size() < kEntry + 2) return cut();
    const unsigned flags = number_at(left_, kFlags, 2);
    const bool is_extended = (flags & kIsExtended) != 0 && version_ > 2;
    const unsigned more = is_extended ? number_at(left_, kEntry, 2) : 0;
    IndexEntry entry{.id = left_.substr(kId, kFlags - kId),
                     .mode = number_at(left_, 24, 4),
                     .changed = time_at(left_, 0),
                     .modified = time_at(left_, 8),
                     .inode = number_at(left_, 20, 4),
                     .uid = number_at(left_, 28, 4),
                     .gid = number_at(left_, 32, 4),
                     .size = number_at(left_, 36, 4),
                     .is_staged = (flags & kStage) != 0,
                     .is_intended = (more & kIsIntended) != 0,
                     .is_away = (more & kSkipsWorktree) != 0};
    std::size_t at = kEntry + (is_extended ? 2 : 0);
    if (version_ == 4) path_.resize(path_.size() - TRY(stripped(at)));
    const auto end = left_.find('\0', at);
    if (end == std::string_view::npos) return cut();
    if (version_ != 4) path_.clear();
    path_ += left_.substr(at, end - at);
    // One to eight bytes of padding, with the one at the end of the name.
    const std::size_t size = version_ == 4 ? end + 1 : (end + 8) / 8 * 8;
    left_.remove_prefix(std::min(size, left_.size()));
    entry.path = path_;
    return entry;
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

Status read_index(std::string_view bytes, const std::function<void(const IndexEntry&)>& each) {
  if (bytes.size() < kHeader || !bytes.starts_with("DIRC")) {
    return fail(EBADMSG, "an index of git: begins otherwise");
  }
  const unsigned version = number_at(bytes, 4, 4);
  if (version < 2 || version > 4) return fail(EBADMSG, "an index of git: of version {}", version);
  Entries entries(bytes.substr(kHeader), version);
  for (unsigned left = number_at(bytes, 8, 4); left > 0; --left) each(TRY(entries.next()));
  return entries.check_rest();
}

Result<std::optional<IndexFile>> index_of(TreeStore& store, const TreeNode& root) {
  const auto git = store.lookup(root, ".git");
  if (!git && git.error().code == ENOENT) return std::nullopt;
  if (!git) return std::unexpected(git.error());
  if (!S_ISDIR(git->attributes.st_mode)) return fail(ENOTSUP, ".git is no directory");
  const auto file = store.lookup(*git->node, "index");
  if (!file && file.error().code == ENOENT) return std::nullopt;
  if (!file) return std::unexpected(file.error());
  if (!S_ISREG(file->attributes.st_mode)) return fail(ENOTSUP, ".git/index is no file");
  return IndexFile{.bytes = TRY(read_file(store, *file->node)),
                   .modified = file->attributes.st_mtim};
}

}  // namespace agentfs
