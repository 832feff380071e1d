// SPDX-License-Identifier: MIT
#include "mountpoint.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <filesystem>
#include <functional>

#include "base/file.h"
#include "base/text.h"
#include "dead_daemons.h"
#include "tree_mounts.h"

namespace agentfs {
namespace {

constexpr std::string_view kAnnouncer = "agentfs-announc";  // as comm has it, 15 bytes

// mountinfo writes blanks and backslashes as octal escapes (proc(5)).
std::string unescaped(std::string_view field) {
  std::string path;
  for (std::size_t i = 0; i < field.size(); ++i) {
    if (field[i] == '\\' && i + 3 < field.size()) {
      path += static_cast<char>((field[i + 1] - '0') * 64 + (field[i + 2] - '0') * 8 +
                                (field[i + 3] - '0'));
      i += 3;
    } else {
      path += field[i];
    }
  }
  return path;
}

struct MountPoint {
  std::string path;
  std::string device;
  bool is_ours = false;
};

std::vector<MountPoint> mount_table() {
  std::vector<MountPoint> all;
  const auto table = file::read(std::string("/proc/self/mountinfo"));
  if (!table) return all;
  for (const std::string_view line : text::lines(*table)) {
    const auto words = text::words(line);
    if (words.size() <= 6) continue;
    all.push_back({unescaped(words[4]), std::string(words[2]), line.contains(" - fuse.agentfs ")});
  }
  return all;
}

// Something that is mounted inside a mount and is no tree of it; "" where nothing is.
std::string mounted_inside(const std::string& mountpoint) {
  for (const MountPoint& each : mount_table()) {
    if (!text::is_below(each.path, mountpoint)) continue;
    const std::string_view below = std::string_view(each.path).substr(mountpoint.size());
    if (!each.is_ours || std::ranges::find(kTreePaths, below) == kTreePaths.end()) return each.path;
  }
  return {};
}

// Whether a process would run if it were let, and so does not wait for an answer.
bool has_yet_to_run(pid_t process) {
  const auto fields = stat_fields(process);
  return !fields.empty() && std::string_view("RTt").contains(fields[0]);
}

// Runs `work` in a child and gives its exit status, or nothing when it waits longer than this:
// whoever asks a daemon that hangs is stuck until the daemon ends, and that must not be us. One
// that a busy machine has not let run yet has not been refused an answer.
std::optional<int> in_child(const std::function<int()>& work, std::chrono::milliseconds patience) {
  constexpr std::chrono::seconds kMost(60);
  const auto start = std::chrono::steady_clock::now();
  const pid_t child = ::fork();
  if (child < 0) return std::nullopt;
  if (child == 0) ::_exit(work());
  const UniqueFd handle(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  pollfd ended{.fd = handle.get(), .events = POLLIN, .revents = 0};
  while (::poll(&ended, 1, static_cast<int>(patience.count())) != 1) {
    if (has_yet_to_run(child) && std::chrono::steady_clock::now() - start < kMost) continue;
    ::kill(child, SIGKILL);
    return std::nullopt;
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? std::optional(WEXITSTATUS(status)) : std::nullopt;
}

// 0 where the file system answers, 1 where it gives an error; nothing where it does neither in
// time.
std::optional<int> answer_of(const std::string& path, std::chrono::milliseconds patience) {
  const auto ask = [&] {
    struct statvfs unused{};
    return ::statvfs(path.c_str(), &unused) == 0 ? 0 : 1;
  };
  return in_child(ask, patience);
}

// Whether the link of a process (its directory, an open file) leads into the mount. The kernel
// answers it without the daemon.
bool leads_into(const std::filesystem::path& link, const std::string& mount) {
  std::error_code error;
  const std::string target = std::filesystem::read_symlink(link, error).string();
  return !error && text::is_in(target, mount);
}

bool is_user(const std::filesystem::path& process, const std::string& mount) {
  for (const char* link : {"cwd", "root", "exe"}) {
    if (leads_into(process / link, mount)) return true;
  }
  std::error_code error;
  for (std::filesystem::directory_iterator file(process / "fd", error);
       !error && file != std::filesystem::directory_iterator(); file.increment(error)) {
    if (leads_into(file->path(), mount)) return true;
  }
  return false;
}

std::unexpected<Error> refuse_busy(const std::string& path) {
  return fail(EBUSY, "{}: files are open on it; close them, or use --lazy", path);
}

Status run_fusermount(const std::string& path, bool lazy) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno("fusermount3");
  const UniqueFd said(ends[0]);
  UniqueFd saying(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return fail_errno("fusermount3");
  if (child == 0) {
    ::dup2(saying.get(), STDERR_FILENO);
    ::setenv("LC_ALL", "C", 1);
    ::execlp("fusermount3", "fusermount3", lazy ? "-uz" : "-u", path.c_str(), nullptr);
    ::_exit(127);
  }
  saying.reset();
  const std::string reason(text::trim(file::read(said.get()).value_or("")));
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return ok();
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
    return fail(ENOENT, "fusermount3: not found; the package fuse3 has it");
  }
  if (reason.contains("busy")) return refuse_busy(path);
  return fail(EPERM, "{}: cannot be unmounted ({})", path, reason);
}

std::unexpected<Error> refuse(int code, const std::string& path) {
  if (code == EBUSY) return refuse_busy(path);
  if (code == EINVAL) return fail(EINVAL, "{}: nothing is mounted there", path);
  return fail_errno(code, path);
}

Status unmount_once(const std::string& path, bool lazy) {
  if (::geteuid() != 0) return run_fusermount(path, lazy);
  if (lazy) {
    if (::umount2(path.c_str(), MNT_DETACH) == 0) return ok();
    return refuse(errno, path);
  }
  auto trees = TreesTakenAway::of(path);
  if (!trees) return refuse(trees.error().code, path);
  if (::umount2(path.c_str(), 0) != 0) return refuse(errno, path);
  trees->keep_away();
  return ok();
}

}  // namespace

bool is_mounted(const std::string& path) { return !mounted_devices(path).empty(); }

std::vector<std::string> mounted_devices(const std::string& path) {
  std::vector<std::string> devices;
  for (const MountPoint& each : mount_table()) {
    if (each.is_ours && each.path == path) devices.push_back(each.device);
  }
  return devices;
}

std::string mounted_device(const std::string& path) {
  const auto devices = mounted_devices(path);
  return devices.empty() ? "" : devices.back();  // which covers the others
}

bool is_device_mounted(const std::string& device) {
  const auto table = mount_table();  // empty: it could not be read
  return table.empty() || std::ranges::find(table, device, &MountPoint::device) != table.end();
}

// Once a mount is taken away the directory below it answers: what is mounted is looked at again.
MountState mount_state(const std::string& path) {
  for (;;) {
    const std::string device = mounted_device(path);
    if (device.empty()) return MountState::none;
    const bool answers = answer_of(path, std::chrono::seconds(1)).value_or(0) == 0;
    if (mounted_device(path) == device) return answers ? MountState::alive : MountState::stale;
  }
}

bool answers_within(const std::string& path, std::chrono::milliseconds patience) {
  return answer_of(path, patience) == 0;
}

std::string users_of(const std::string& mount) {
  constexpr std::size_t kMost = 5;
  std::vector<std::string> users;
  std::error_code error;
  for (std::filesystem::directory_iterator entry("/proc", error);
       !error && entry != std::filesystem::directory_iterator() && users.size() < kMost;
       entry.increment(error)) {
    const auto pid = text::number<int>(entry->path().filename().string());
    if (!pid || *pid == ::getpid() || !is_user(entry->path(), mount)) continue;
    const auto name = file::read((entry->path() / "comm").string());
    if (name && name->starts_with(kAnnouncer)) continue;
    users.push_back(fmt::format("{} (pid {})", text::trim(name.value_or("?")), *pid));
  }
  return text::join(users, ", ");
}

// Where nobody is seen, it is the daemon's own agentfs-announce, which is on the mount for moments.
Status unmount(const std::string& path, bool lazy) {
  if (const std::string inside = lazy ? "" : mounted_inside(path); !inside.empty()) {
    return fail(EBUSY, "{}: {} is mounted inside it; unmount that first, or use --lazy", path,
                inside);
  }
  // Trees that are mounts of their own are not taken away for a moment where it can be known
  // before that they are in use, and not again and again.
  const bool has_trees = !lazy && has_trees_mounted(path);
  if (has_trees && !users_of(path).empty()) return refuse_busy(path);
  const int tries = has_trees ? 0 : 50;
  for (int i = 0;; ++i) {
    Status unmounted = unmount_once(path, lazy);
    const bool is_busy = !unmounted && unmounted.error().code == EBUSY;
    if (!is_busy || i == tries || !users_of(path).empty()) return unmounted;
    pollfd nothing{.fd = -1, .events = 0, .revents = 0};
    ::poll(&nothing, 1, 10);
  }
}

Result<std::string> absolute_path(const std::string& path, int links) {
  // Only the parent is resolved: resolving the mount itself would ask its daemon. As it is given:
  // ".." behind a link leads to what is above where the link leads.
  std::error_code error;
  std::filesystem::path whole = std::filesystem::absolute(path, error);
  if (error) return fail_errno(error.value(), path);
  // "mnt/", "mnt//" and "mnt/." are one.
  const auto names_nothing = [&] { return whole.filename().empty() || whole.filename() == "."; };
  while (whole.has_relative_path() && names_nothing()) whole = whole.parent_path();
  if (!whole.has_relative_path()) return whole.string();
  if (whole.filename() == "..") {
    const auto above = std::filesystem::canonical(whole, error);
    if (error) return fail_errno(error.value(), whole.string());
    return above.string();
  }
  const auto parent = std::filesystem::canonical(whole.parent_path(), error);
  if (error) return fail_errno(error.value(), whole.parent_path().string());
  const std::filesystem::path found = parent / whole.filename();
  const auto target = std::filesystem::read_symlink(found, error);  // of a directory: none
  if (error) return found.string();
  if (links == 0) return fail_errno(ELOOP, path);
  return absolute_path(parent / target, links - 1);
}

std::optional<int> serving_daemon(const std::string& path, std::chrono::milliseconds patience) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return std::nullopt;
  const UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  const auto ask = [&] {
    const auto bytes = file::read(path + "/sys/kernel/pid");
    return bytes && file::write_all(writing.get(), *bytes) ? 0 : 1;
  };
  const auto status = in_child(ask, patience);
  writing.reset();
  if (status != 0) return std::nullopt;
  const auto bytes = file::read(reading.get());
  return bytes ? text::number<int>(text::trim(*bytes)) : std::nullopt;
}

}  // namespace agentfs
