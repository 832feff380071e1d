// SPDX-License-Identifier: MIT
#include "state_directory.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/damage.h"
#include "base/directory.h"
#include "base/log.h"
#include "base/text.h"
#include "base/users.h"
#include "migrations.h"

namespace agentfs {
namespace {

constexpr std::string_view kTemporary = "trees/tmp";
constexpr auto kDirectories = std::to_array<std::string_view>(
    {"journal", "journal/segments", "keys", "blobs", "trees", "trees/home", "trees/workspaces",
     "trees/src", "trees/src/repos", kTemporary, "git", "etc", "etc/models", "etc/profiles",
     "etc/profiles/default", "etc/profiles/default/context.d", "etc/devices", "log", "mount"});

// Made when they are needed.
constexpr auto kOthers = std::to_array<std::string_view>(
    {"conflicts", "drops", "fast", "imports", "merge-bases", "merge-conflicts", "merges", "past",
     "past/new", "past/rights", "restores", "staged", "tree-orders", "unremoved"});

// Of a tree's the mount shows the mode: who uses it, too, may enter. STATE itself keeps others out.
Status make_directory(const std::string& path, std::string_view name) {
  if (::mkdir(path.c_str(), 0755) == 0) {
    // All may make files in it, until somebody says otherwise.
    return name != kTemporary || ::chmod(path.c_str(), 01777) == 0 ? ok() : fail_errno(path);
  }
  struct stat there{};
  if (errno != EEXIST) return fail_errno(path);
  if (::stat(path.c_str(), &there) != 0) {
    if (is_damage(errno)) return fail_errno(path);
    return fail(errno, "{}: is a link that leads to nothing; a directory has to be there", path);
  }
  if (S_ISDIR(there.st_mode)) return ok();
  return fail(ENOTDIR,
              "{}: is no directory; `agentfs fsck --repair` sets it aside, and a directory from a "
              "backup can be put in its place",
              path);
}

// A directory has its place, perhaps: it can be locked as well, and a check tells of it.
Result<UniqueFd> open_lock(const std::string& path, bool is_check) {
  UniqueFd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (lock) return lock;
  if (errno != EISDIR) return fail_errno(path);
  if (is_check) lock.reset(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (lock) return lock;
  return fail(EISDIR, "{}: is a directory, and no file; `agentfs fsck --repair` sets it aside",
              path);
}

constexpr std::string_view kFromDisk = "lost+found";  // a disk's own top directory has it

bool is_ours(const std::string& name) {
  constexpr auto kBeside = std::to_array<std::string_view>(
      {"clock", "daemon.pid", "format", "format.copy", "lock", "open-files", "quarantine",
       "temporaries", "times", "trees.mount", "under-way"});
  const auto is_one_of = [&](const auto& all) {
    return std::ranges::find(all, name) != std::ranges::end(all);
  };
  return name.starts_with("agentfs.sqlite") || name.starts_with("backup-") || is_one_of(kBeside) ||
         is_one_of(kDirectories) || is_one_of(kOthers);
}

// A directory that holds other things is somebody else's.
Status check_ours(const std::string& path) {
  if (file::exists(path + "/format")) return ok();
  if (file::exists(path + "/journal/segments") && file::exists(path + "/agentfs.sqlite")) {
    return ok();  // which migrate() takes for one of the oldest
  }
  for (const HostEntry& entry : TRY(list_directory(path))) {
    if (is_ours(entry.name) || entry.name == kFromDisk) continue;
    return fail(ENOTEMPTY, "{}: holds {}, and no state of agentfs; an empty directory would do",
                path, text::shown(entry.name));
  }
  return ok();
}

// Takes the lock. Between the start or the end of a daemon and that of its watcher there is a lock
// and no pid: then it is a matter of moments until it is free, or has a name. A daemon that has a
// name may have been killed just now, and holds the lock until it has come apart.
Status take_lock(int lock, const std::string& path) {
  constexpr int kTries = 300;
  constexpr int kNamedTries = 100;
  for (int i = 0; ::flock(lock, LOCK_EX | LOCK_NB) != 0; ++i) {
    if (errno != EWOULDBLOCK) return fail_errno(path + "/lock");
    const pid_t daemon = read_daemon_pid(path);
    if (i >= (daemon != 0 ? kNamedTries : kTries)) {
      return fail(EBUSY,
                  "{}: in use by the agentfs daemon with pid {}; unmount that one first (where its "
                  "mount was taken away lazily, close what is open of it, or kill {}), or give "
                  "another --state",
                  path, daemon, daemon);
    }
    pollfd nothing{.fd = -1, .events = 0, .revents = 0};
    ::poll(&nothing, 1, 10);
  }
  return ok();
}

}  // namespace

Error with_advice(Error why) {
  if (is_damage(why.code)) why.message += "; `agentfs fsck` says more";
  return why;
}

std::string StateDirectory::standard() {
  if (const char* data = std::getenv("XDG_DATA_HOME"); data != nullptr && data[0] == '/') {
    return std::string(data) + "/agentfs";
  }
  constexpr std::string_view kBelow = "/.local/share/agentfs";
  if (const char* home = std::getenv("HOME"); home != nullptr && home[0] == '/') {
    return fmt::format("{}{}", home, kBelow);
  }
  const auto user = find_user(::geteuid());
  const bool has_home = user && user->home.starts_with('/');
  return fmt::format("{}{}", has_home ? user->home : "/root", kBelow);
}

std::span<const std::string_view> StateDirectory::directories() { return kDirectories; }
std::span<const std::string_view> StateDirectory::others() { return kOthers; }

Status StateDirectory::make_directories() const {
  for (const std::string_view name : kDirectories) {
    TRY(make_directory(file(std::string(name)), name));
  }
  return ok();
}

Result<StateDirectory> StateDirectory::acquire(const std::string& path, Use use) {
  StateDirectory state;
  state.path_ = path;
  TRY(file::make_directories(path));
  TRY(check_owner(path));
  TRY(check_ours(path));
  TRY(check_format(path));
  if (::chmod(path.c_str(), 0700) != 0) {
    if (errno != EROFS) return fail_errno(path);
    return fail(EROFS,
                "{}: lies on a disk that is mounted read-only, and agentfs writes there also where "
                "it only looks; a copy on another disk would do",
                path);
  }
  if (file::exists(path + "/format")) {
    for (const std::string_view name : kDirectories) {
      const bool is_told = !state.lacked_.empty() && name.starts_with(state.lacked_.back() + "/");
      if (!is_told && file::is_absent(state.file(std::string(name))))
        state.lacked_.emplace_back(name);
    }
  }
  if (Status made = state.make_directories(); !made) {
    const int code = made.error().code;
    const bool may_be = use == Use::check && (code == ENOTDIR || is_damage(code));
    if (!may_be) return std::unexpected(with_advice(std::move(made).error()));
  }
  state.lock_ = TRY(open_lock(state.file("lock"), use == Use::check));
  TRY(take_lock(state.lock_.get(), path));
  state.place_ = UniqueFd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!state.place_) return fail_errno(path);
  TRY(take_lock(state.place_.get(), path));
  std::string damage = TRY(migrate(path));
  if (!damage.empty()) state.problems_.push_back(std::move(damage));
  return state;
}

bool StateDirectory::is_there(const std::string& path) {
  const auto entries = list_directory(path);
  if (!entries) return file::exists(path);  // there is something, and acquire() says what
  return std::ranges::any_of(*entries, [](const HostEntry& entry) { return is_ours(entry.name); });
}

Status StateDirectory::check_owner(const std::string& path) {
  struct stat its{};
  if (::stat(path.c_str(), &its) != 0) return errno == ENOENT ? ok() : fail_errno(path);
  if (its.st_uid == ::geteuid()) return ok();
  const auto owner = find_user(its.st_uid);
  return fail(EPERM,
              "{}: is {}'s, and this runs as uid {}; run it as that user, or give another --state, "
              "or all of this one to yourself (chown -R, when no link in it leads out of it)",
              path, owner ? owner->name : fmt::format("uid {}", its.st_uid), ::geteuid());
}

// On a full disk in the place of the one that a dead daemon left; a daemon without one serves, too.
void StateDirectory::write_pid(pid_t daemon) const {
  const std::string text = fmt::format("{}\n", daemon);
  const Status written = file::replace(file("daemon.pid"), text);
  if (written) return;
  const UniqueFd old(::open(file("daemon.pid").c_str(), O_WRONLY | O_CLOEXEC));
  if (old && ::ftruncate(old.get(), static_cast<off_t>(text.size())) == 0 &&
      ::pwrite(old.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size())) {
    return;
  }
  log::warning("{}", written.error().message);
}

void StateDirectory::remove_pid() const { ::unlink(file("daemon.pid").c_str()); }

pid_t read_daemon_pid(const std::string& state) {
  const auto bytes = file::read(state + "/daemon.pid");
  if (!bytes) return 0;
  return text::number<pid_t>(text::trim(*bytes)).value_or(0);
}

}  // namespace agentfs
