// SPDX-License-Identifier: MIT
// The marks of hollow directories.
#include <sys/stat.h>

#include <utility>

#include "backends/trees/marks.h"
#include "base/hash.h"
#include "base/mutex.h"
#include "base/permissions.h"
#include "base/text.h"

namespace agentfs::trees {
namespace {

// An ordinary user's directory that is closed to its owner, opened for as long as this lives: the
// attributes of one that cannot be read, or written, cannot be either. With opening_mutex held, so
// that none takes another's mode for the directory's own.
Mutex<Rank::queue> opening_mutex;

class DirectoryOpened {
 public:
  explicit DirectoryOpened(const Spot& spot) : path_(spot.path) {
    struct stat found{};
    const auto look = spot.follow ? ::stat : ::lstat;
    if (look(path_.c_str(), &found) != 0 || !S_ISDIR(found.st_mode)) return;
    mode_ = found.st_mode & kPermissions;
    is_open_ = ::chmod(path_.c_str(), mode_ | S_IRWXU) == 0;
  }
  ~DirectoryOpened() {
    if (is_open_) ::chmod(path_.c_str(), mode_);
  }
  DirectoryOpened(const DirectoryOpened&) = delete;
  DirectoryOpened& operator=(const DirectoryOpened&) = delete;

 private:
  const std::string path_;
  mode_t mode_ = 0;
  bool is_open_ = false;
};

// What the call says, an errno or 0; made again with the directory opened where it is closed, and
// ours to open.
template <class Call>
int reach(const Spot& directory, bool may_open, const Call& call) {
  const int code = call();
  if (code != EACCES || !may_open) return code;
  const Lock lock(opening_mutex);
  const DirectoryOpened open(directory);
  return call();
}

// "<line> <sequence> <key, three words>", and the sum of that: each word is a number, so that a
// damaged one would name another state that is there as well. Marks of earlier builds have none.
std::string to_text(const Source& source) {
  return fmt::format("{} {} {}", source.line, source.sequence, to_text(source.key));
}

std::string sum_of(std::string_view told) {
  const std::uint64_t sum = fnv1a(told);
  return fmt::format("{:08x}", static_cast<std::uint32_t>(sum ^ (sum >> 32)));
}

std::optional<Source> source_from(std::string_view mark) {
  const auto words = text::words(mark);
  if (words.size() != 5 && words.size() != 6) return std::nullopt;
  const auto line = text::number<std::uint32_t>(words[0]);
  const auto sequence = text::number<std::uint64_t>(words[1]);
  auto key = key_from(words[2], words[3], words[4]);
  if (!line || !sequence || !key) return std::nullopt;
  Source source{*line, *sequence, std::move(*key)};
  const bool is_whole = words.size() == 5 || words[5] == sum_of(to_text(source));
  return is_whole ? std::optional(std::move(source)) : std::nullopt;
}

}  // namespace

Result<std::optional<Source>> Marks::find_hollow(const Spot& directory) const {
  std::optional<std::string> value;
  int code = reach(directory, rows_ != nullptr, [&] {
    value = get_own(directory, kHollow);
    return value ? 0 : errno;
  });
  if (code == ENODATA) {
    value = get_apart(directory, kHollow);
    code = value ? 0 : errno;
  }
  if (code == ENODATA || code == ENOTSUP) return std::nullopt;
  if (!value) return fail_errno(code, "the mark of a hollow directory");
  if (auto source = source_from(*value)) return source;
  return fail(EBADMSG, "{}: the mark of a hollow directory, damaged ({}); fsck tells what is left",
              directory.path, text::shown(*value));
}

Result<std::optional<Source>> Marks::hollow(const Spot& directory, const FileMark* known) const {
  auto source = TRY(find_hollow(directory));
  const auto is_lost = [&] { return known != nullptr ? known->hollow : borne(directory).hollow; };
  if (source || !is_lost()) return source;
  return fail(EBADMSG, "{}: the mark of a hollow directory is gone; fsck tells what is left",
              directory.path);
}

Status Marks::set_hollow(const Spot& directory, const Source& source) const {
  const std::string told = to_text(source);
  const int code = set(directory, kHollow, fmt::format("{} {}", told, sum_of(told)));
  if (code != 0) return fail_errno(code, "the mark of a hollow directory");
  return ok();
}

int Marks::forget_hollow(const Spot& directory) const {
  FileMark mark = borne(directory);
  if (mark.elsewhere) return EACCES;
  if (!std::exchange(mark.hollow, false)) return 0;
  return bear(directory, mark);
}

Status Marks::remove_hollow(const Spot& directory) const {
  const int code = reach(directory, rows_ != nullptr, [&] {
    if (const int kept = forget_hollow(directory); kept != 0) return kept;
    remove_apart(directory, kHollow);
    return remove_own(directory, kHollow);
  });
  return code == 0 ? ok() : fail_errno(code, "the mark of a hollow directory");
}

}  // namespace agentfs::trees
