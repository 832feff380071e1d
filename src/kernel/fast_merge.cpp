// SPDX-License-Identifier: MIT
// Texts that a command on an overlay and others have changed at once.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <tuple>

#include "base/copy.h"
#include "base/file.h"
#include "base/file_times.h"
#include "base/hash.h"
#include "base/open_beneath.h"
#include "base/permissions.h"
#include "base/text.h"
#include "kernel/fast_path.h"
#include "kernel/fold.h"
#include "kernel/history_keeper.h"
#include "kernel/journal.h"
#include "kernel/kernel.h"
#include "kernel/kinds.h"

namespace agentfs {
namespace {

constexpr std::int64_t kLargest = 32 << 20;  // bytes of a file that is merged or kept aside
// A row of what may have changed the bytes of a path, or what it leads to.
bool is_change_of(const Record& record, const std::string& path) {
  const std::string_view kind = record.kind;
  if (!kind.starts_with(kind::kTreePrefix)) return false;
  if (kind == "tree.open" || kind == "tree.attributes" || kind == "tree.xattr") return false;
  return json::bytes_of(record.data, "path") == path ||
         json::bytes_of(record.data, "other") == path;
}

// Rights, owner and attributes are not merged: what the command found is not known.
bool are_dressed_alike(const FastPath::Side& ours, const FastPath::Side& theirs) {
  const auto rights_of = [](const FastPath::Side& side) {
    return std::tuple(side.state.st_mode, side.state.st_uid, side.state.st_gid);
  };
  return rights_of(ours) == rights_of(theirs) &&
         brought_xattrs(ours.file.get()) == brought_xattrs(theirs.file.get());
}

}  // namespace

// Others may put links into the directory meanwhile.
Result<FastPath::Side> FastPath::read_side(const std::string& directory, const std::string& path) {
  const UniqueFd top(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!top) return fail_errno(directory);
  Side side;
  side.file = file::open_beneath(top.get(), path, O_RDONLY | O_NONBLOCK);
  if (!side.file && errno == ELOOP) return fail(EINVAL, "a symbolic link");
  if (!side.file || ::fstat(side.file.get(), &side.state) != 0) {
    return fail_errno(text::shown(path));
  }
  if (!S_ISREG(side.state.st_mode)) return fail(EINVAL, "no file with bytes");
  if (side.state.st_size > kLargest) return fail(EFBIG, "more than {} bytes", kLargest);
  await_telling(side.state);
  side.text = TRY(file::read(side.file.get()));
  return side;
}

std::string FastPath::first_made(const FastRun& run, const FoldConflict& conflict) const {
  return fmt::format("{}/made.{:016x}", directory_of(run.number), fnv1a(conflict.upper));
}

Result<FastPath::Side> FastPath::made_by(const FastRun& run, const FoldConflict& conflict) const {
  const std::string made = first_made(run, conflict);
  auto first = read_side(std::string(text::parent_part(made)), std::string(text::last_part(made)));
  if (first || first.error().code != ENOENT) return first;
  return read_side(left_of(run).upper, conflict.upper);
}

// The first content that was replaced after the command began is what the command saw, where
// nothing had changed it by then: an append, of which no content is kept, is a row, and has a time.
std::optional<std::string> FastPath::base_of(const FastRun& run, const std::string& path) const {
  const auto kept = kernel_.history().kept_since(path, run.version);
  if (kept.empty() || kept.front()->size > static_cast<std::uint64_t>(kLargest)) {
    return std::nullopt;
  }
  const FileVersion& first = *kept.front();
  std::optional<bool> is_first;  // whether the first of such rows is the one that replaced it
  std::int64_t began = 0;
  const auto look = [&](const Record& record, std::string_view) -> Status {
    if (record.sequence.value == run.number) began = record.time;
    if (is_first || record.sequence.value <= run.number) return ok();
    if (!is_change_of(record, path)) return ok();
    const FileVersionRef replaced = version_of(record);
    is_first = replaced != nullptr && replaced->number == first.number;
    return ok();
  };
  std::vector<std::string> damaged;
  const Sequence after{run.number - 1};
  if (!kernel_.journal().replay_readable(after, look, damaged) || !damaged.empty()) {
    return std::nullopt;
  }
  const bool is_as_seen = is_first.value_or(false) && first.modified <= began;
  return is_as_seen ? kernel_.history().text_of(first) : std::nullopt;
}

// The command's side is now both changes in one. What it made itself stays beside, for the case
// that others go on changing theirs, and another merge is to be made of it.
Result<std::optional<struct stat>> FastPath::merge(const FastRun& run,
                                                   const FoldConflict& conflict) const {
  const std::string path = fmt::format("{}/{}", run.root, conflict.path);
  const std::string upper = fmt::format("{}/{}", left_of(run).upper, conflict.upper);
  const auto ours = read_side(left_of(run).lower, conflict.path);
  const auto theirs = made_by(run, conflict);
  if (!ours || !theirs || !are_dressed_alike(*ours, *theirs)) return std::nullopt;
  const auto base = base_of(run, path);  // last, since it reads the journal
  if (!base) return std::nullopt;
  const auto both = kernel_.parts().merger->merge_texts({*base, ours->text, theirs->text});
  if (!both || !both->is_clean) return std::nullopt;
  const std::string first = first_made(run, conflict);
  if (::link(upper.c_str(), first.c_str()) != 0 && errno != EEXIST) return fail_errno(first);
  // By rename: the file may have other names, which were not merged.
  const std::string fresh = directory_of(run.number) + "/merged";
  const UniqueFd file(::open(fresh.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file) return fail_errno(fresh);
  TRY(file::write_all(file.get(), both->text));
  TRY(copy_xattrs(theirs->file.get(), file.get()));
  const struct stat& state = theirs->state;
  if (::fchown(file.get(), state.st_uid, state.st_gid) != 0) return fail_errno(fresh);
  if (::fchmod(file.get(), state.st_mode & kPermissions) != 0) return fail_errno(fresh);
  if (::fsync(file.get()) != 0) return fail_errno(fresh);
  if (::rename(fresh.c_str(), upper.c_str()) != 0) return fail_errno(upper);
  return ours->state;
}

}  // namespace agentfs
