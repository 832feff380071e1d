// SPDX-License-Identifier: MIT
#include "dead_daemons.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "mountpoint.h"
#include "tree_mounts.h"

namespace agentfs {
namespace {

constexpr char kControl[] = "/sys/fs/fuse/connections";  // where a fusectl is mounted
constexpr std::string_view kDaemonName = "agentfs";      // as comm has it

// A connection is numbered as the device of its mount is, whose first number is 0.
using Connections = std::vector<std::string>;

Connections connections_of(const std::string& mountpoint) {
  Connections found;
  const auto add = [&](const std::string& place) {
    for (const std::string& device : mounted_devices(place)) {
      found.push_back(device.substr(device.find(':') + 1));
    }
  };
  add(mountpoint);
  for (const std::string_view tree : kTreePaths) add(fmt::format("{}{}", mountpoint, tree));
  return found;
}

std::vector<std::filesystem::path> entries(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> found;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(directory, error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    found.push_back(entry->path());
  }
  return found;
}

struct Served {
  Connections connections;
  bool is_known = true;  // the host's kernel says so, or it has no /dev/fuse open
};

// Its threads share what is open. The main thread of a dying process has let go of it; those that
// are left have not.
Served served_by(pid_t daemon) {
  Served served;
  for (const auto& thread : entries(fmt::format("/proc/{}/task", daemon))) {
    for (const auto& open : entries(thread / "fd")) {
      std::error_code error;
      if (std::filesystem::read_symlink(open, error) != "/dev/fuse") continue;
      served.is_known = false;
      const std::string info =
          file::read((thread / "fdinfo" / open.filename()).string()).value_or("");
      for (const std::string_view line : text::lines(info)) {
        const auto words = text::words(line);
        const bool is_said = words.size() == 2 && words[0] == "fuse_connection:";
        if (is_said) served.connections.emplace_back(words[1]);
      }
    }
  }
  served.is_known = served.is_known || !served.connections.empty();
  return served;
}

bool has(const Connections& connections, const std::string& one) {
  return std::ranges::find(connections, one) != connections.end();
}

bool has_any(const Connections& connections, const Connections& others) {
  return std::ranges::any_of(others, [&](const auto& each) { return has(connections, each); });
}

// Whether a connection is that daemon's still: once it is let go of, another mount has its number.
bool is_served_by(pid_t daemon, const std::string& connection) {
  return is_dying(daemon) && has(served_by(daemon).connections, connection);
}

// Whether a connection is still the one that is meant; asked once what would abort it is open.
using IsStill = std::function<bool(const std::string&)>;

// In a child of its own: root looks at a fusectl that only the child sees, where the host has none.
// What is mounted in its copy of the mounts keeps its number for as long as the child lives.
[[noreturn]] void abort_in_child(const Connections& connections, const IsStill& is_still) {
  if (::geteuid() == 0 && ::unshare(CLONE_NEWNS) == 0 &&
      ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0) {
    ::mount("none", kControl, "fusectl", 0, nullptr);
  }
  int failed = 0;
  for (const std::string& each : connections) {
    const UniqueFd abort(::open(fmt::format("{}/{}/abort", kControl, each).c_str(), O_WRONLY));
    if (!is_still(each)) continue;
    if (!abort || ::write(abort.get(), "1", 1) != 1) failed = 1;
  }
  ::_exit(failed);
}

bool abort(const Connections& connections, const IsStill& is_still) {
  const pid_t child = ::fork();
  if (child == 0) abort_in_child(connections, is_still);
  int status = -1;
  return child > 0 && ::waitpid(child, &status, 0) == child && status == 0;
}

// Takes away what nobody uses; for root. The way to the trees' own mounts may lead through what
// hangs, so a child goes it.
void force(const std::string& mountpoint) {
  if (::geteuid() != 0) return;
  const pid_t child = ::fork();
  if (child == 0) {
    for (const std::string_view tree : kTreePaths) {
      ::umount2(fmt::format("{}{}", mountpoint, tree).c_str(), MNT_FORCE);
    }
    ::_exit(0);
  }
  constexpr int kPatience = 10;  // times a tenth of a second
  for (int i = 0; i < kPatience && child > 0 && ::waitpid(child, nullptr, WNOHANG) == 0; ++i) {
    ::poll(nullptr, 0, 100);
  }
  ::umount2(mountpoint.c_str(), MNT_FORCE);
  if (child > 0) ::waitpid(child, nullptr, 0);
}

bool comes_apart(pid_t daemon, int tries) {
  for (int i = 0; i < tries && is_dying(daemon); ++i) ::poll(nullptr, 0, 10);
  return !is_dying(daemon);
}

}  // namespace

std::vector<std::string> stat_fields(pid_t process) {
  const auto stat = file::read(fmt::format("/proc/{}/stat", process));
  const auto after_name = stat ? stat->rfind(')') : std::string::npos;
  if (after_name == std::string::npos) return {};
  const auto words = text::words(std::string_view(*stat).substr(after_name + 1));
  return {words.begin(), words.end()};
}

bool is_dying(pid_t daemon) {
  constexpr std::size_t kThreads = 17;
  const auto fields = stat_fields(daemon);
  if (fields.size() <= kThreads || fields[0] != "Z" || fields[kThreads] == "1") return false;
  const auto name = file::read(fmt::format("/proc/{}/comm", daemon));
  return name && text::trim(*name) == kDaemonName;
}

bool cut_off(const std::string& mountpoint) {
  const Connections connections = connections_of(mountpoint);
  const auto is_there = [&](const auto& each) { return has(connections_of(mountpoint), each); };
  if (!connections.empty() && abort(connections, is_there)) return true;
  force(mountpoint);
  return false;
}

// A thread of it may have been on its way into what it waits for: once is not always enough.
Status end_dying(pid_t daemon, const std::string& mountpoint) {
  constexpr int kMoment = 50;  // times 10 ms
  constexpr int kTries = 10;
  for (int i = 0; i < kTries && !comes_apart(daemon, kMoment); ++i) {
    if (i == 0) log::warning("the daemon (pid {}) is dead and cannot go by itself", daemon);
    const Served served = served_by(daemon);
    const auto is_its = [&](const auto& each) { return is_served_by(daemon, each); };
    const bool is_done = served.is_known && abort(served.connections, is_its);
    // By now somebody else may have mounted something there, who is not to lose it.
    const bool is_there =
        !served.is_known || has_any(connections_of(mountpoint), served.connections);
    if (!is_done && !mountpoint.empty() && is_there) cut_off(mountpoint);
  }
  if (!is_dying(daemon)) return ok();
  return fail(EBUSY,
              "the daemon (pid {}) was killed and cannot go, as a program that waits for it holds "
              "what it waits for; `umount -f` of its mount, as root, ends both",
              daemon);
}

// Where the host's kernel does not say whose the mount is, it may be that of a daemon that lives.
Status end_dying_servers(const std::string& mountpoint) {
  const Connections asked = connections_of(mountpoint);
  if (asked.empty()) return ok();
  for (const auto& entry : entries("/proc")) {
    const auto pid = text::number<pid_t>(entry.filename().string());
    if (!pid || !is_dying(*pid)) continue;
    const Served served = served_by(*pid);
    const bool is_its = has_any(asked, served.connections) ||
                        (!served.is_known && !answers_within(mountpoint, std::chrono::seconds(1)));
    if (is_its) TRY(end_dying(*pid, mountpoint));
  }
  return ok();
}

}  // namespace agentfs
