// SPDX-License-Identifier: MIT
#include "backends/imports/host_directory.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <climits>
#include <filesystem>

#include "backends/imports/ready_names.h"
#include "base/blocks.h"
#include "base/copy.h"
#include "base/directory.h"
#include "base/nanoseconds.h"
#include "base/open_beneath.h"
#include "base/text.h"

namespace agentfs::imports {

std::uint32_t kind_of_disk(int file) {
  struct statfs disk{};
  return ::fstatfs(file, &disk) == 0 ? static_cast<std::uint32_t>(disk.f_type) : 0;
}

namespace {

bool is_recorded(mode_t mode) {
  return S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode) || S_ISFIFO(mode);
}

bool is_absent(int code) { return code == ENOENT || code == ENOTDIR || code == ELOOP; }

std::string joined(const std::string& directory, std::string_view name) {
  return directory.empty() ? std::string(name) : fmt::format("{}/{}", directory, name);
}

// What is made of an image's file once it is changed has its number on an overlay, and its own
// time.
bool tells_when_made(std::uint32_t disk) { return disk != 0 && disk != OVERLAYFS_SUPER_MAGIC; }

// Of `name` in a directory, or of `directory` itself where it is ""; nothing: it has gone.
std::optional<FileState> state_at(int directory, const char* name, bool tells) {
  struct statx found{};
  constexpr int kFlags = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT;
  if (::statx(directory, name, kFlags, STATX_BASIC_STATS | STATX_BTIME, &found) != 0) return {};
  const auto moment = [](const struct statx_timestamp& time) {
    return nanoseconds_of({.tv_sec = time.tv_sec, .tv_nsec = time.tv_nsec});
  };
  FileState state{.mode = found.stx_mode};
  state.device = makedev(found.stx_dev_major, found.stx_dev_minor);
  state.inode = found.stx_ino;
  state.size = static_cast<std::int64_t>(found.stx_size);
  state.modified = moment(found.stx_mtime);
  state.changed = moment(found.stx_ctime);
  if (tells && (found.stx_mask & STATX_BTIME) != 0) state.made = moment(found.stx_btime);
  return state;
}

// The kernel makes what is there as it is read: it has no size, differs each time, and some of it
// waits for whoever writes it.
bool is_made_by_kernel(std::uint32_t disk) {
  constexpr std::uint32_t kConfigfs = 0x62656570;  // the one that <linux/magic.h> lacks
  constexpr auto kMade = std::to_array<std::uint32_t>(
      {PROC_SUPER_MAGIC, SYSFS_MAGIC, CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC,
       TRACEFS_MAGIC, SECURITYFS_MAGIC, SELINUX_MAGIC, DEVPTS_SUPER_MAGIC, BPF_FS_MAGIC,
       PSTOREFS_MAGIC, EFIVARFS_MAGIC, kConfigfs});
  return std::ranges::find(kMade, disk) != kMade.end();
}

std::unexpected<Error> refuse_unreadable(const std::string& shown) {
  return fail(EACCES,
              "{}: uid {} may not read it, and an import is of all that a directory has; with read "
              "permission there, or a directory without it, this would do",
              shown, ::geteuid());
}

// Where a repository is that a link or file named .git leads to; "" where it says nothing of one.
std::string repository_of(int directory, mode_t type) {
  if (S_ISLNK(type)) return link_target(directory, ".git").value_or("");
  char text[PATH_MAX];
  const UniqueFd file(::openat(directory, ".git", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  const ssize_t length = file ? ::read(file.get(), text, sizeof text) : -1;
  std::string_view line(text, length < 0 ? 0 : static_cast<std::size_t>(length));
  line = line.substr(0, line.find('\n'));
  constexpr std::string_view kWord = "gitdir:";
  if (!line.starts_with(kWord)) return {};
  return std::string(text::trim(line.substr(kWord.size())));
}

// Out of the import, seen from a directory of it: to the repository that is worked with there.
bool leads_out(const std::string& directory, const std::string& target) {
  if (target.starts_with('/')) return true;
  const auto place = (std::filesystem::path(directory) / target).lexically_normal();
  return !place.empty() && *place.begin() == "..";
}

}  // namespace

bool is_in_git(std::string_view path) {
  for (const std::string_view part : text::split(path, '/')) {
    if (part == ".git") return true;
  }
  return false;
}

bool is_git_object(std::string_view path) {
  bool in_git = false;
  for (const std::string_view part : text::split(path, '/')) {
    if (in_git && part == "objects") return true;
    in_git = in_git || part == ".git";
  }
  return false;
}

Result<HostDirectory> HostDirectory::open(const std::string& path) {
  UniqueFd fd = file::open_without_links(path, O_PATH | O_DIRECTORY);
  if (fd) return HostDirectory(path, std::move(fd));
  if (errno != ELOOP) return fail_errno(path);
  return fail(ELOOP,
              "{}: it, or a directory above it, is a link now and was none when it was imported; "
              "with the directory back in its place, or imported by where it is, this would do",
              text::shown(path));
}

std::string HostDirectory::shown(const std::string& path) const {
  return text::shown(path.empty() ? path_ : fmt::format("{}/{}", path_, path));
}

// A FIFO may have taken the place of a file: nobody waits for its other end.
Result<UniqueFd> HostDirectory::open(const std::string& path, int flags) const {
  const bool is_read = (flags & (O_PATH | O_DIRECTORY)) == 0;
  const int how = is_read ? flags | O_NONBLOCK | O_NOCTTY : flags;
  UniqueFd fd = file::open_beneath(fd_.get(), path.empty() ? "." : path, how);
  struct stat found{};
  const bool is_other =
      fd ? ::fstat(fd.get(), &found) != 0 || !S_ISREG(found.st_mode) : errno == ELOOP;
  if (is_read && is_other) return fail(EBUSY, "{}: is no regular file any more", shown(path));
  if (!fd) return fail_errno(shown(path));
  return fd;
}

Result<FileState> HostDirectory::look(const std::string& path) const {
  const auto fd = open(path, O_PATH);
  if (!fd && is_absent(fd.error().code)) return FileState();
  if (!fd) return std::unexpected(fd.error());
  const auto state = state_at(fd->get(), "", tells_when_made(kind_of_disk(fd->get())));
  if (!state) return fail_errno(shown(path));
  return is_recorded(state->mode) ? *state : FileState();
}

Result<std::string> HostDirectory::read_link(const std::string& path) const {
  const UniqueFd fd = TRY(open(path, O_PATH));
  auto target = link_target(fd.get(), "");
  if (!target) return fail_errno(shown(path));
  return std::move(*target);
}

Result<Xattrs> HostDirectory::xattrs(const std::string& path) const {
  return brought_xattrs(TRY(open(path, O_PATH)).get());
}

Result<HostDirectory::Place> HostDirectory::place(const std::string& path) const {
  return Place{TRY(open(std::string(text::parent_part(path)), O_PATH | O_DIRECTORY)),
               std::string(text::last_part(path))};
}

Status HostDirectory::for_each(const std::string& directory, const Each& each) const {
  auto fd = open(directory, O_RDONLY | O_DIRECTORY);
  if (!fd && is_absent(fd.error().code) && !directory.empty()) return ok();  // gone meanwhile
  if (!fd && fd.error().code == EACCES) return refuse_unreadable(shown(directory));
  if (!fd) return std::unexpected(std::move(fd).error());
  const int number = fd->get();
  const std::uint32_t disk = kind_of_disk(number);
  if (is_made_by_kernel(disk)) {
    return fail(EINVAL,
                "{}: the kernel makes what is there as it is read; a directory of a disk, without "
                "such a one below it, would do",
                shown(directory));
  }
  const bool tells = tells_when_made(disk);
  for (const auto& [name, inode, type] : TRY(list_directory(number, shown(directory)))) {
    const bool is_ready = ReadyName::is_one(name);  // before it is looked at: it may go meanwhile
    const auto state = state_at(number, name.c_str(), tells);
    if (!state) continue;
    const mode_t mode = state->mode;
    const bool is_left_out =
        is_ready || !is_recorded(mode) ||
        (name == ".git" && !S_ISDIR(mode) && leads_out(directory, repository_of(number, mode)));
    TRY(each({number, name, joined(directory, name), *state, is_left_out}));
  }
  return ok();
}

Result<std::map<std::string, bool>> HostDirectory::list(const std::string& directory) const {
  std::map<std::string, bool> found;
  TRY(for_each(directory, [&](const Item& item) -> Status {
    found[item.path] = item.is_left_out || is_in_git(item.path);
    return ok();
  }));
  return found;
}

Status HostDirectory::walk_one(const std::string& directory, bool whole,
                               std::map<std::string, FileState>& found,
                               std::vector<std::string>& below) const {
  return for_each(directory, [&](const Item& item) -> Status {
    const bool is_directory = item.state.is_directory();
    if (item.is_left_out || (is_directory && item.name == ".git" && !whole)) return ok();
    if (item.state.is_regular() &&
        ::faccessat(item.directory, item.name.c_str(), R_OK, AT_EACCESS) != 0 && errno != ENOENT) {
      return errno == EACCES ? refuse_unreadable(shown(item.path)) : fail_errno(shown(item.path));
    }
    if (is_directory) below.push_back(item.path);
    found[item.path] = item.state;
    return ok();
  });
}

Result<std::map<std::string, FileState>> HostDirectory::walk(bool whole,
                                                             const std::string& top) const {
  std::map<std::string, FileState> found;
  std::vector<std::string> left{top};
  while (!left.empty()) {
    const std::string directory = std::move(left.back());
    left.pop_back();
    TRY(walk_one(directory, whole, found, left));
  }
  return found;
}

std::optional<std::int64_t> blocks_between_holes(const HostDirectory& host, const std::string& path,
                                                 const struct stat& file) {
  if (held_by(file) >= file.st_size) return std::nullopt;
  const auto opened = host.open(path, O_RDONLY);
  const std::int64_t bytes = opened ? data_bytes(opened->get(), file.st_size) : file.st_size;
  if (bytes >= file.st_size) return std::nullopt;
  return static_cast<std::int64_t>(whole_blocks(static_cast<std::uint64_t>(bytes)) / 512);
}

}  // namespace agentfs::imports
