// SPDX-License-Identifier: MIT
#include "backends/git/worktree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <functional>

#include "backends/git/dot_git.h"
#include "base/directory.h"
#include "base/log.h"
#include "base/open_beneath.h"
#include "base/text.h"

namespace agentfs::git {
namespace {

// What a path within the worktree leads to: the size of a plain file; 0 of what libgit2 takes for
// no file of rules; nothing where it must not be opened.
std::optional<off_t> size_beneath(int worktree, const std::string& path) {
  const UniqueFd fd = file::open_beneath(worktree, path, O_PATH, file::Links::beneath);
  if (!fd && (errno == ENOENT || errno == ELOOP || errno == ENOTDIR)) return 0;
  struct stat attributes{};
  if (!fd || ::fstat(fd.get(), &attributes) != 0) return std::nullopt;
  if (S_ISDIR(attributes.st_mode)) return 0;
  return S_ISREG(attributes.st_mode) ? std::optional(attributes.st_size) : std::nullopt;
}

// Mount points in mountinfo have blanks and backslashes as octal escapes.
std::string unescape(std::string_view field) {
  std::string result;
  for (std::size_t i = 0; i < field.size(); ++i) {
    if (field[i] == '\\' && i + 3 < field.size()) {
      const int code = (field[i + 1] - '0') * 64 + (field[i + 2] - '0') * 8 + (field[i + 3] - '0');
      result += static_cast<char>(code);
      i += 3;
    } else {
      result += field[i];
    }
  }
  return result;
}

// A path that a file of the repository names, made absolute against `base`; "" where there is no
// such file.
Result<std::string> named_in(const std::string& file, const std::string& base,
                             std::string_view label) {
  struct stat attributes{};
  if (::lstat(file.c_str(), &attributes) != 0) return std::string();
  if (!S_ISREG(attributes.st_mode)) return fail(EINVAL, "{}: not a plain file", file);
  if (attributes.st_size > kMostRules) return fail(EINVAL, "{}: too large", file);
  const std::string text = TRY(file::read(file));
  std::string_view line = text::trim(text);
  if (!line.starts_with(label)) return std::string();
  line = text::trim(line.substr(label.size()));
  return (std::filesystem::path(base) / line).lexically_normal().string();
}

// The mounts of this host, and the one that may be opened in any case.
class Mounts {
 public:
  Mounts(std::string mountinfo, std::string_view worktree)
      : mountinfo_(std::move(mountinfo)), own_(fuse_mount_of(mountinfo_, worktree)) {}
  bool may_open(std::string_view path) const {
    const std::string mount = fuse_mount_of(mountinfo_, path);
    return mount.empty() || mount == own_;
  }

 private:
  const std::string mountinfo_;
  const std::string own_;
};

// Whether every alternate is one that may be used. Each may have alternates of its own; git follows
// five levels.
Result<bool> may_use_alternates(const std::string& objects,
                                const std::function<bool(const std::string& path)>& may_use,
                                int depth = 0) {
  const std::string file = objects + "/info/alternates";
  struct stat attributes{};
  if (::lstat(file.c_str(), &attributes) != 0) return true;
  if (!S_ISREG(attributes.st_mode) || attributes.st_size > kMostRules || depth > 5) return false;
  const std::string text = TRY(file::read(file));
  for (const std::string_view line : text::lines(text)) {
    const auto other = (std::filesystem::path(objects) / line).lexically_normal().string();
    if (!may_use(other) || !TRY(may_use_alternates(other, may_use, depth + 1))) return false;
  }
  return true;
}

// Where a .git that is a file or a link leads; itself where it is a directory.
Result<std::string> git_directory_of(const std::string& worktree) {
  const std::string dot_git = worktree + "/.git";
  const UniqueFd top(::open(worktree.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!top) return fail_errno(worktree);
  const Kind kind = TRY(kind_of(top.get(), ".git"));
  if (kind == Kind::directory) return dot_git;
  if (kind != Kind::link) return named_in(dot_git, worktree, "gitdir:");
  const std::string target = TRY(read_link(top.get(), ".git"));
  return (std::filesystem::path(worktree) / target).lexically_normal().string();
}

std::string& kept_mounts() {
  static std::string text;
  return text;
}

Result<std::string> mounts_now() {
  if (!kept_mounts().empty()) return kept_mounts();
  return file::read("/proc/self/mountinfo");
}

Result<bool> may_open_git(const std::string& worktree) {
  const Mounts mounts(TRY(mounts_now()), worktree);
  const std::string git_directory = TRY(git_directory_of(worktree));
  if (git_directory.empty() || !mounts.may_open(git_directory)) return false;
  std::string shared = TRY(named_in(git_directory + "/commondir", git_directory, ""));
  if (shared.empty()) shared = git_directory;
  const auto may_open = [&](const std::string& path) { return mounts.may_open(path); };
  return may_open(shared) && TRY(may_use_alternates(shared + "/objects", may_open));
}

}  // namespace

Result<Kind> kind_of(int directory, const std::string& name) {
  struct stat attributes{};
  if (::fstatat(directory, name.c_str(), &attributes, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return Kind::none;
    return fail_errno(text::shown(name));
  }
  switch (attributes.st_mode & S_IFMT) {
    case S_IFREG:
      return (attributes.st_mode & S_IXUSR) != 0 ? Kind::executable : Kind::file;
    case S_IFLNK:
      return Kind::link;
    case S_IFDIR:
      return Kind::directory;
    default:
      return Kind::other;
  }
}

Result<UniqueFd> open_directory(int directory, const std::string& name) {
  UniqueFd fd(::openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return fail_errno(text::shown(name));
  return fd;
}

Result<UniqueFd> open_file(int directory, const std::string& name) {
  UniqueFd fd(
      ::openat(directory, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat attributes{};
  if (!fd || ::fstat(fd.get(), &attributes) != 0) return fail_errno(text::shown(name));
  if (!S_ISREG(attributes.st_mode)) return fail(ENOENT, "{}: no longer a file", text::shown(name));
  return fd;
}

Result<std::vector<std::string>> names_in(int directory) {
  std::vector<std::string> names;
  for (HostEntry& entry : TRY(list_directory(directory, "directory"))) {
    if (entry.name != ".git") names.push_back(std::move(entry.name));
  }
  return names;
}

Result<std::string> read_link(int directory, const std::string& name) {
  auto target = link_target(directory, name);
  if (!target) return fail_errno(text::shown(name));
  return std::move(*target);
}

Status check_rules(int worktree, int directory, const std::string& path, bool gitignore_counts) {
  for (const std::string name : {".gitattributes", ".gitignore"}) {
    const Kind kind = TRY(kind_of(directory, name));
    if (kind == Kind::none || (name == ".gitignore" && !gitignore_counts)) continue;
    const auto size = size_beneath(worktree, path + name);
    if (!size) {
      return fail(
          EINVAL,
          "git: {} leads out of the workspace, or is no file; with it removed a commit would do",
          text::shown(path + name));
    }
    if (*size > kMostRules) {
      return fail(EINVAL, "git: {} is too large ({} bytes); nothing is committed until it has {}",
                  text::shown(path + name), *size, kMostRules);
    }
  }
  return ok();
}

std::string fuse_mount_of(std::string_view mountinfo, std::string_view path) {
  std::string longest;
  bool fuse = false;
  for (const std::string_view line : text::lines(mountinfo)) {
    const auto separator = line.find(" - ");
    const auto fields = text::words(line.substr(0, separator));
    if (separator == line.npos || fields.size() < 5) continue;
    std::string point = unescape(fields[4]);
    // Of mounts on one point the last one is on top.
    if (point.size() < longest.size() || !text::is_in(path, point)) continue;
    longest = std::move(point);
    fuse = line.substr(separator + 3).starts_with("fuse");
  }
  return fuse ? longest : std::string();
}

Status keep_mounts() {
  kept_mounts() = TRY(file::read("/proc/self/mountinfo"));
  return ok();
}

Result<bool> borrows_nothing(const std::string& worktree) {
  const std::string top = std::filesystem::path(worktree).lexically_normal();
  const std::string dot_git = top + "/.git";
  const bool shares = file::exists(dot_git + "/commondir");
  const auto near = may_use_alternates(
      dot_git + "/objects", [&](const std::string& path) { return text::is_in(path, top); });
  if (!shares && near && *near) return has_usable_git(worktree);
  log::warning("{}: not used: it has parts outside of the workspace", dot_git);
  return false;
}

Result<bool> has_usable_git(const std::string& directory) {
  const std::string dot_git = directory + "/.git";
  if (!file::exists(dot_git)) return false;
  const auto safe = may_open_git(directory);
  if (safe && *safe) return true;
  log::warning("{}: not used: {}", dot_git,
               safe ? "it has parts on a FUSE mount" : safe.error().message);
  return false;
}

}  // namespace agentfs::git
