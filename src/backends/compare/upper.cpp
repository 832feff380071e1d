// SPDX-License-Identifier: MIT
#include "backends/compare/upper.h"

#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "base/text.h"

namespace agentfs::compare {
namespace {

constexpr std::string_view kOverlay = "trusted.overlay.";
constexpr std::size_t kLargestHandle = 128;

// Nothing where it is not there.
Result<std::string> get_xattr(const std::string& path, const std::string& name) {
  std::string value(4096, '\0');
  const ssize_t got = ::lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
  if (got >= 0) {
    value.resize(static_cast<std::size_t>(got));
    return value;
  }
  if (errno == ENODATA || errno == ENOTSUP) return std::string();
  return fail_errno(text::shown(path));
}

Result<std::vector<std::string>> xattr_names(const std::string& path) {
  std::string names(1024, '\0');
  ssize_t got = ::llistxattr(path.c_str(), names.data(), names.size());
  if (got < 0 && errno == ERANGE) {
    names.resize(65'536);
    got = ::llistxattr(path.c_str(), names.data(), names.size());
  }
  if (got < 0 && errno != ENOTSUP) return fail_errno(text::shown(path));
  names.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  std::vector<std::string> all;
  for (const std::string_view name : text::split(names, '\0')) {
    if (!name.empty()) all.emplace_back(name);
  }
  return all;
}

// struct ovl_fb: version, magic, length, flags, type, uuid; then what open_by_handle_at(2) takes.
Result<ino_t> inode_of_origin(int lower, const std::string& origin) {
  constexpr std::size_t kHead = 21;
  constexpr unsigned char kMagic = 0xfb;
  if (origin.size() <= kHead || origin.size() > kHead + kLargestHandle ||
      static_cast<unsigned char>(origin[1]) != kMagic) {
    return fail(EBADMSG, "overlay: an origin of {} bytes that is none", origin.size());
  }
  alignas(struct file_handle) unsigned char bytes[sizeof(struct file_handle) + kLargestHandle]{};
  auto* const handle = reinterpret_cast<struct file_handle*>(bytes);
  handle->handle_bytes = static_cast<unsigned>(origin.size() - kHead);
  handle->handle_type = static_cast<unsigned char>(origin[4]);
  std::memcpy(bytes + offsetof(struct file_handle, f_handle), origin.data() + kHead,
              origin.size() - kHead);
  const UniqueFd file(::open_by_handle_at(lower, handle, O_PATH | O_CLOEXEC));
  if (!file && errno == ESTALE) return 0;  // nothing has it any more
  struct stat state{};
  if (!file || ::fstat(file.get(), &state) != 0) return fail_errno("overlay: an origin");
  return state.st_ino;
}

}  // namespace

Result<UpperDirectory> UpperDirectory::open(const std::string& directory) {
  UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return fail_errno(directory);
  return UpperDirectory(std::move(fd));
}

std::string UpperDirectory::host_path(const std::string& path) const {
  return path.empty() ? fmt::format("/proc/self/fd/{}/.", directory_.get())
                      : fmt::format("/proc/self/fd/{}/{}", directory_.get(), path);
}

Result<std::vector<std::string>> UpperDirectory::names(const std::string& path) const {
  std::vector<std::string> names;
  for (HostEntry& entry : TRY(listing(path))) names.push_back(std::move(entry.name));
  std::ranges::sort(names);
  return names;
}

Result<std::vector<HostEntry>> UpperDirectory::listing(const std::string& path) const {
  const UniqueFd fd(::openat(directory_.get(), path.empty() ? "." : path.c_str(),
                             O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return fail_errno(text::shown(path));
  return list_directory(fd.get(), text::shown(path));
}

Result<UpperEntry> UpperDirectory::entry(const std::string& path) const {
  UpperEntry entry;
  if (::fstatat(directory_.get(), path.empty() ? "." : path.c_str(), &entry.state,
                AT_SYMLINK_NOFOLLOW) != 0) {
    return fail_errno(text::shown(path));
  }
  const struct stat& state = entry.state;
  if (S_ISCHR(state.st_mode) && state.st_rdev == 0) {
    entry.kind = UpperEntry::Kind::whiteout;
    return entry;
  }
  const std::string host = host_path(path);
  for (const std::string& name : TRY(xattr_names(host))) {
    if (name == "trusted.overlay.origin") entry.is_copied = true;
  }
  if (!S_ISDIR(state.st_mode)) return entry;
  entry.kind = UpperEntry::Kind::directory;
  const std::string opaque = TRY(get_xattr(host, "trusted.overlay.opaque"));
  entry.is_opaque = opaque.starts_with('y');
  entry.redirect = TRY(get_xattr(host, "trusted.overlay.redirect"));
  return entry;
}

Result<std::map<ino_t, std::string>> read_index(const std::string& work, const std::string& lower) {
  std::map<ino_t, std::string> all;
  const std::string index = work + "/index";
  const UniqueFd directory(::open(index.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory && errno == ENOENT) return all;
  if (!directory) return fail_errno(index);
  const UniqueFd below(::open(lower.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!below) return fail_errno(lower);
  for (const auto& [name, inode_there, type] : TRY(list_directory(directory.get(), index))) {
    const std::string path = fmt::format("{}/{}", index, name);
    struct stat state{};
    if (::lstat(path.c_str(), &state) != 0) return fail_errno(path);
    if (S_ISDIR(state.st_mode) || (S_ISCHR(state.st_mode) && state.st_rdev == 0)) continue;
    const std::string origin = TRY(get_xattr(path, "trusted.overlay.origin"));
    if (origin.empty()) continue;
    const ino_t inode = TRY(inode_of_origin(below.get(), origin));
    if (inode != 0) all.emplace(inode, name);
  }
  return all;
}

Result<Xattrs> brought_xattrs(const std::string& host_path) {
  Xattrs all;
  for (const std::string& name : TRY(xattr_names(host_path))) {
    if (!is_brought(name)) continue;
    ssize_t size = ::lgetxattr(host_path.c_str(), name.c_str(), nullptr, 0);
    if (size < 0) continue;
    std::string value(static_cast<std::size_t>(size), '\0');
    size = ::lgetxattr(host_path.c_str(), name.c_str(), value.data(), value.size());
    if (size >= 0) all.emplace(name, std::move(value));
  }
  return all;
}

void strip_overlay(int directory, const std::string& name) {
  const std::string host_path = fmt::format("/proc/self/fd/{}/{}", directory, name);
  const auto names = xattr_names(host_path);
  if (!names) return;
  for (const std::string& one : *names) {
    if (one.starts_with(kOverlay)) ::lremovexattr(host_path.c_str(), one.c_str());
  }
}

}  // namespace agentfs::compare
