// SPDX-License-Identifier: MIT
// agentfs-announce MOUNTPOINT: does changes once more through the mount, for those who watch it.
// The daemon answers its calls and changes nothing (fs/fuse/announcer.h). Standard input is the
// socket of the daemon; its end is this program's.
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "fs/fuse/inside/announcement.h"
#include "fs/fuse/inside/watched.h"

namespace {

using agentfs::fuse::Announcement;
using agentfs::fuse::AnnouncementAnswer;

// As TreeEvent::Kind.
enum class Kind : char { made, written, attributes, removed, walked, returned, replaced };

class Descriptor {
 public:
  explicit Descriptor(long fd) : fd_(static_cast<int>(fd)) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

constexpr std::uint64_t kStay = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;

// Nothing that others put in the way leads elsewhere, nor what they mount there.
long open_below(int directory, const char* path, std::uint64_t flags,
                std::uint64_t resolve = kStay) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = resolve;
  return ::syscall(SYS_openat2, directory, path, &how, sizeof how);
}

// The kernel knows the number without asking. 0: nothing is open.
std::uint64_t device_of(int directory) {
  struct statx found{};
  const int flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
  if (::statx(directory, "", flags, 0, &found) != 0) return 0;
  return std::uint64_t{found.stx_dev_major} << 32U | found.stx_dev_minor;
}

// Whether what is open is of a session: nothing is done to what has its place when that has gone.
// The kernel tells of each filesystem once what it is.
bool is_ours(int directory) {
  static std::set<std::uint64_t> known;
  const std::uint64_t device = device_of(directory);
  if (device == 0) return false;
  if (known.contains(device)) return true;
  struct statfs of{};
  const bool is_fuse = ::fstatfs(directory, &of) == 0 && of.f_type == FUSE_SUPER_MAGIC;
  if (is_fuse) known.insert(device);
  return is_fuse;
}

// Whether the daemon that told of the change is asked by what is done in the directory.
bool is_asked(int directory, const Announcement& change) {
  const std::string link = "/proc/self/fd/" + std::to_string(directory);
  agentfs::fuse::AnnouncementSecret found{};
  const ssize_t length =
      ::getxattr(link.c_str(), agentfs::fuse::kSecretName, found.data(), found.size());
  return length == static_cast<ssize_t>(found.size()) && found == change.secret;
}

// Data trees may have a session of their own, mounted at the top.
class Top {
 public:
  Top(const char* mountpoint, const std::string& path)
      : mount_(::open(mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC)),
        top_(mount_.get() >= 0 && is_ours(mount_.get())
                 ? open_below(mount_.get(), path.substr(0, path.find('/')).c_str(),
                              O_PATH | O_DIRECTORY, kStay & ~std::uint64_t{RESOLVE_NO_XDEV})
                 : -1) {}
  // -1: it is not there, or not ours.
  int get() const { return top_.get() >= 0 && is_ours(top_.get()) ? top_.get() : -1; }

 private:
  const Descriptor mount_;
  const Descriptor top_;
};

// What of a path is below its top; "." for that itself.
const char* below_top(const std::string& path) {
  const auto slash = path.find('/');
  return slash == std::string::npos ? "." : path.c_str() + slash + 1;
}

// One byte, which the daemon does not take: without a write there is no event of one. An empty file
// stays empty.
void write_to(int file) {
  struct stat attributes{};
  if (::fstat(file, &attributes) != 0 || attributes.st_size == 0) return;
  static_cast<void>(::write(file, "", 1) == 1);
}

void tell_attributes(int directory, const char* name) {
  const Descriptor file(open_below(directory, name, O_PATH));
  const std::string link = "/proc/self/fd/" + std::to_string(file.get());
  if (file.get() >= 0) static_cast<void>(::chmod(link.c_str(), 0600) == 0);
}

void tell_written(int directory, const char* name) {
  const Descriptor file(open_below(directory, name, O_WRONLY | O_NONBLOCK | O_NOCTTY));
  if (file.get() < 0) return tell_attributes(directory, name);
  write_to(file.get());
}

void tell_made(int directory, const char* name, mode_t type) {
  if (S_ISDIR(type)) {
    static_cast<void>(::mkdirat(directory, name, 0700) == 0);
  } else if (S_ISLNK(type)) {
    static_cast<void>(::symlinkat("-", directory, name) == 0);
  } else if (S_ISREG(type)) {
    const Descriptor file(::openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (file.get() < 0) return tell_written(directory, name);
    write_to(file.get());
  } else {
    static_cast<void>(::mknodat(directory, name, S_IFIFO | 0600, 0) == 0);
  }
}

// The kernel may know by now that the name is gone, and would refuse without asking. Of a directory
// to be made it asks whatever it knows, and hears that there is something.
void tell_removed(int directory, const char* name, mode_t type) {
  static_cast<void>(::mkdirat(directory, name, 0700) == 0);
  static_cast<void>(::unlinkat(directory, name, S_ISDIR(type) ? AT_REMOVEDIR : 0) == 0);
}

// The ways are of one tree, so one top is of all.
void walk(const char* mountpoint, const Announcement& ways) {
  const auto from_mount = [](const char* path) {
    return std::string(*path == '/' ? path + 1 : path);
  };
  const Top top(mountpoint, from_mount(ways.path));
  if (top.get() < 0) return;
  for (std::size_t at = 0; at < ways.length; at += std::strlen(ways.path + at) + 1) {
    const std::string path = from_mount(ways.path + at);
    const Descriptor asked_for(open_below(top.get(), below_top(path), O_PATH));
  }
}

std::vector<std::uint64_t> watched_beside(const char* mountpoint, const Announcement& tree) {
  const Top top(mountpoint, tree.path);
  if (top.get() < 0) return {};
  return agentfs::fuse::watched_nodes(device_of(top.get()));
}

void tell(const char* mountpoint, const Announcement& change) {
  if (static_cast<Kind>(change.kind) == Kind::walked) return walk(mountpoint, change);
  const std::string whole = change.path;
  const auto slash = whole.rfind('/');
  if (slash == std::string::npos) return;
  const std::string path = whole.substr(0, slash);
  const Top top(mountpoint, path);
  if (top.get() < 0) return;
  const Descriptor directory(open_below(top.get(), below_top(path), O_PATH | O_DIRECTORY));
  if (directory.get() < 0 || !is_asked(directory.get(), change)) return;
  const char* const name = whole.c_str() + slash + 1;
  switch (static_cast<Kind>(change.kind)) {
    case Kind::made:
      return tell_made(directory.get(), name, change.type);
    case Kind::written:
      return tell_written(directory.get(), name);
    case Kind::attributes:
      return tell_attributes(directory.get(), name);
    case Kind::removed:
      return tell_removed(directory.get(), name, change.type);
    case Kind::walked:
    case Kind::returned:
    case Kind::replaced:
      return;  // not here
  }
}

// False: the daemon has gone.
bool answer(std::span<const std::uint64_t> nodes) {
  static AnnouncementAnswer packet;
  do {
    const auto next = nodes.first(std::min(nodes.size(), packet.nodes.size()));
    nodes = nodes.subspan(next.size());
    packet.count = static_cast<std::uint32_t>(next.size());
    packet.left = static_cast<std::uint32_t>(nodes.size());
    std::ranges::copy(next, packet.nodes.begin());
    if (::send(STDIN_FILENO, &packet, packet.size(), MSG_NOSIGNAL) < 0) return false;
  } while (!nodes.empty());
  return true;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return 2;
  // Whoever goes on with the mount knows nothing of this process, and would do what it asks for.
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return 1;
  for (;;) {
    Announcement change;
    const ssize_t got = ::recv(STDIN_FILENO, &change, sizeof change, 0);
    if (got <= 0) return 0;
    change.set_size(static_cast<std::size_t>(got));
    std::vector<std::uint64_t> watched;
    if (static_cast<Kind>(change.kind) == Kind::replaced) {
      watched = watched_beside(arguments[1], change);
    } else {
      tell(arguments[1], change);
    }
    if (!answer(watched)) return 0;
  }
}
