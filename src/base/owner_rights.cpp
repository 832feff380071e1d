// SPDX-License-Identifier: MIT
#include "base/owner_rights.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <utility>

#include "base/directory.h"
#include "base/permissions.h"
#include "base/text.h"

namespace agentfs {
namespace {

// "<mode>.<inode>.<n>"
std::string fresh_note(mode_t mode, ino_t inode) {
  static std::atomic<std::uint64_t> next = 1;
  return fmt::format("{:o}.{}.{}", mode, inode, next++);
}

struct Note {
  mode_t mode = 0;
  ino_t inode = 0;
};

std::optional<Note> parse_note(const std::string& name) {
  const auto parts = text::split(name, '.');
  if (parts.size() != 3) return std::nullopt;
  const auto inode = text::number<ino_t>(parts[1]);
  mode_t mode = 0;
  for (const char digit : parts[0]) {
    if (digit < '0' || digit > '7') return std::nullopt;
    mode = mode * 8 + static_cast<mode_t>(digit - '0');
  }
  if (!inode || parts[0].empty() || mode > kPermissions) return std::nullopt;
  return Note{mode, *inode};
}

// A directory that was moved has a note for each place; the number tells where it is.
UniqueFd find_lent(int room, const std::string& name, ino_t inode) {
  const auto place = link_target(room, name);
  UniqueFd fd(::openat(room, place.value_or(name).c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat attributes{};
  if (!fd || ::fstat(fd.get(), &attributes) != 0 || attributes.st_ino != inode) return UniqueFd();
  return fd;
}

}  // namespace

Result<OwnerRights> OwnerRights::lend(int file, mode_t bits, int room) {
  OwnerRights rights;
  struct stat attributes{};
  if (::fstat(file, &attributes) != 0) return fail_errno("a file whose mode is in the way");
  const uid_t self = ::geteuid();
  const bool needed = self != 0 && attributes.st_uid == self && !S_ISLNK(attributes.st_mode) &&
                      (attributes.st_mode & bits) != bits;
  if (!needed || room < 0) return rights;
  rights.mode_ = attributes.st_mode & kPermissions;
  rights.inode_ = attributes.st_ino;
  rights.room_ = room;
  rights.file_ = UniqueFd(::fcntl(file, F_DUPFD_CLOEXEC, 0));
  if (!rights.file_) return fail_errno("a file whose mode is in the way");
  if (S_ISDIR(attributes.st_mode)) {
    const auto place = link_target(AT_FDCWD, rights.path());
    if (!place) return fail_errno("the place of a directory");
    TRY(rights.note_directory(*place));
  } else {
    TRY(rights.note_file());
  }
  if (::chmod(rights.path().c_str(), rights.mode_ | bits) != 0) {
    return fail_errno("the owner's rights to a file");
  }
  return rights;
}

OwnerRights::OwnerRights(OwnerRights&& other) noexcept
    : file_(std::move(other.file_)),
      mode_(other.mode_),
      inode_(other.inode_),
      room_(other.room_),
      notes_(std::exchange(other.notes_, {})) {}

// Where the mode cannot be put back now, the notes stay for the next start.
OwnerRights::~OwnerRights() {
  if (!are_lent() || ::chmod(path().c_str(), mode_) != 0) return;
  for (const std::string& note : notes_) ::unlinkat(room_, note.c_str(), 0);
}

Status OwnerRights::may_move_to(const std::string& path) {
  return are_lent() ? note_directory(path) : ok();
}

Status OwnerRights::note_directory(const std::string& place) {
  notes_.push_back(fresh_note(mode_, inode_));
  if (::symlinkat(place.c_str(), room_, notes_.back().c_str()) == 0) return ok();
  return fail_errno(fmt::format("{}: a note of its mode", text::shown(place)));
}

Status OwnerRights::note_file() {
  notes_.push_back(fresh_note(mode_, inode_));
  const char* const note = notes_.back().c_str();
  if (::linkat(AT_FDCWD, path().c_str(), room_, note, AT_SYMLINK_FOLLOW) == 0) return ok();
  return fail_errno("a note of a file's mode");
}

Status mend_rights(int room) {
  for (const auto& [name, number, type] : TRY(list_directory(room))) {
    const auto note = parse_note(name);
    if (!note) continue;
    const UniqueFd lent = find_lent(room, name, note->inode);
    const std::string path = fmt::format("/proc/self/fd/{}", lent.get());
    if (lent && ::chmod(path.c_str(), note->mode) != 0) return fail_errno(name);
    if (::unlinkat(room, name.c_str(), 0) != 0) return fail_errno(name);
  }
  return ok();
}

}  // namespace agentfs
