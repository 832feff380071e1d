// SPDX-License-Identifier: MIT
// agentfs-announce MOUNTPOINT: does changes once more through the mount, for those who watch it.
// The daemon answers its calls and changes nothing (fs/fuse/announcer.h). Standard input is the
// socket of the daemon; its end is this program's.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <string>

#include "fs/fuse/inside/announcement.h"

namespace {

using agentfs::fuse::Announcement;

enum class Kind : char { made, written, attributes, removed, walked };  // as TreeEvent::Kind

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

// Nothing that others put in the way leads elsewhere.
long open_below(int directory, const char* path, std::uint64_t flags) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  return ::syscall(SYS_openat2, directory, path, &how, sizeof how);
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

void walk(int mount, const Announcement& ways) {
  for (std::size_t at = 0; at < ways.length; at += std::strlen(ways.path + at) + 1) {
    const char* const path = ways.path + at;
    const Descriptor asked_for(open_below(mount, path + (*path == '/' ? 1 : 0), O_PATH));
  }
}

void tell(const char* mountpoint, const Announcement& change) {
  const Descriptor mount(::open(mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (mount.get() < 0) return;
  if (static_cast<Kind>(change.kind) == Kind::walked) return walk(mount.get(), change);
  std::string path = change.path;
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return;
  path[slash] = '\0';
  const Descriptor directory(open_below(mount.get(), path.c_str(), O_PATH | O_DIRECTORY));
  if (directory.get() < 0) return;
  const char* const name = path.c_str() + slash + 1;
  switch (static_cast<Kind>(change.kind)) {
    case Kind::made:
      return tell_made(directory.get(), name, change.type);
    case Kind::written:
      return tell_written(directory.get(), name);
    case Kind::attributes:
      return tell_attributes(directory.get(), name);
    case Kind::removed:
      static_cast<void>(
          ::unlinkat(directory.get(), name, S_ISDIR(change.type) ? AT_REMOVEDIR : 0) == 0);
      return;
    case Kind::walked:
      return;  // above
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return 2;
  for (;;) {
    Announcement change;
    const ssize_t got = ::recv(STDIN_FILENO, &change, sizeof change, 0);
    if (got <= 0) return 0;
    change.set_size(static_cast<std::size_t>(got));
    tell(arguments[1], change);
    if (::send(STDIN_FILENO, "", 1, MSG_NOSIGNAL) != 1) return 0;
  }
}
