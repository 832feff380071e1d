// SPDX-License-Identifier: MIT
#include "backends/imports/host_rights.h"

#include <fcntl.h>
#include <unistd.h>

#include <optional>
#include <ranges>

#include "backends/imports/host_drift.h"
#include "base/permissions.h"
#include "base/text.h"

namespace agentfs::imports {
namespace {

constexpr mode_t kNeeded = S_IWUSR | S_IXUSR;

std::string itself(const UniqueFd& directory) {
  return fmt::format("/proc/self/fd/{}", directory.get());
}

mode_t opened_mode(mode_t mode) { return mode | S_IRWXU; }

}  // namespace

HostRights::~HostRights() {
  if (!is_open_) return;
  for (const Closed& one : closed_ | std::views::reverse) give_back(host_, one);
  (void)file::remove(note_of(records_));
}

// Only where it is as it was opened: its own change may have come after.
void HostRights::give_back(const HostDirectory& host, const Closed& one) {
  const auto its = host.open(one.path, O_PATH | O_DIRECTORY);
  struct stat now{};
  if (!its || ::fstat(its->get(), &now) != 0) return;
  const bool is_as_opened = (now.st_mode & kPermissions) == opened_mode(one.mode);
  if (is_as_opened) (void)(::chmod(itself(*its).c_str(), one.mode) == 0);
}

Status HostRights::need(const std::set<std::string>& directories) {
  if (::geteuid() == 0) return ok();
  for (const std::string& path : directories) {
    const auto fd = host_.open(path, O_PATH | O_DIRECTORY);
    struct stat found{};
    if (!fd || ::fstat(fd->get(), &found) != 0) continue;  // not there yet
    if (::faccessat(AT_FDCWD, itself(*fd).c_str(), W_OK | X_OK, AT_EACCESS) == 0) continue;
    if (found.st_uid != ::geteuid() || (found.st_mode & kNeeded) == kNeeded) {
      return fail(EACCES, "{}: uid {} may not change what is in it; nothing was written",
                  host_.shown(path), ::geteuid());
    }
    closed_.push_back({path, found.st_mode & kPermissions});
  }
  return ok();
}

Status HostRights::open() {
  if (closed_.empty()) return ok();
  std::string note;
  for (const Closed& one : closed_) note += fmt::format("{} {}", one.mode, one.path) + '\0';
  TRY(file::replace(note_of(records_), note, 0600));
  is_open_ = true;
  for (const Closed& one : closed_) {
    const UniqueFd fd = TRY(host_.open(one.path, O_PATH | O_DIRECTORY));
    if (::chmod(itself(fd).c_str(), opened_mode(one.mode)) != 0) {
      return fail_errno(host_.shown(one.path));
    }
  }
  return ok();
}

std::vector<std::string> HostRights::opened() const {
  std::vector<std::string> paths;
  for (const Closed& one : closed_) paths.push_back(one.path);
  return paths;
}

void HostRights::keep_open(const std::string& directory) {
  std::erase_if(closed_, [&](const Closed& one) { return one.path == directory; });
}

Status HostRights::mend(const ImportRecords& records) {
  const std::string note = note_of(records);
  if (!file::exists(note)) return ok();
  const std::string text = TRY(file::read(note));
  const auto host = source_of(records);
  if (!host) return ok();
  const auto lines = text::split(text, '\0');
  for (const std::string_view line : lines | std::views::reverse) {
    const auto space = line.find(' ');
    const auto mode = text::number<mode_t>(line.substr(0, space));
    if (!mode || space == line.npos) continue;
    give_back(*host, {std::string(line.substr(space + 1)), *mode});
  }
  return file::remove(note);
}

Status check_ours(const HostDirectory& host, const std::string& path, bool is_named) {
  const auto look = [&](const std::string& one) {
    struct stat found{};
    const auto fd = host.open(one, O_PATH);
    return fd && ::fstat(fd->get(), &found) == 0 ? std::optional(found) : std::nullopt;
  };
  const uid_t self = ::geteuid();
  const auto file = self == 0 ? std::nullopt : look(path);
  if (!file || file->st_uid == self) return ok();
  const auto above = is_named ? look(std::string(text::parent_part(path))) : std::nullopt;
  const bool is_kept = above && (above->st_mode & S_ISVTX) != 0 && above->st_uid != self;
  if (is_named && !is_kept) return ok();
  return fail(EPERM, "{}: is uid {}'s there, and uid {} may not {}; nothing was written",
              host.shown(path), file->st_uid, self,
              is_named ? "remove or replace it (t)" : "change its mode");
}

Status check_readable(const HostDirectory& host, const std::string& path, mode_t mode) {
  const mode_t needed = S_ISDIR(mode) ? S_IRUSR | S_IXUSR : S_ISREG(mode) ? S_IRUSR : 0;
  if (::geteuid() == 0 || (mode & needed) == needed) return ok();
  return fail(EACCES,
              "{}: with mode {:04o} it could not be read there any more by uid {}, and neither be "
              "compared nor taken back; nothing was written, and with {} here it can be committed",
              host.shown(path), mode & kPermissions, ::geteuid(),
              S_ISDIR(mode) ? "`chmod u+rx`" : "`chmod u+r`");
}

}  // namespace agentfs::imports
