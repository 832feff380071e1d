// SPDX-License-Identifier: MIT
#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/file_handle.h"
#include "base/hash.h"

namespace agentfs {

void UniqueFd::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

namespace file {
namespace {

constexpr const char* kUnfinished = ".agentfs-new";
constexpr std::size_t kLargestPiece = std::size_t{64} << 10;

}  // namespace

// Most files are small: a large piece for each would be written twice before it is given back.
Result<std::string> read(int fd) {
  std::string bytes;
  for (std::size_t piece = std::size_t{4} << 10;; piece = std::min(2 * piece, kLargestPiece)) {
    const std::size_t old = bytes.size();
    ssize_t got = -1;
    bytes.resize_and_overwrite(old + piece, [&](char* text, std::size_t) {
      got = ::read(fd, text + old, piece);
      return old + static_cast<std::size_t>(std::max<ssize_t>(got, 0));
    });
    if (got == 0) return bytes;
    if (got < 0 && errno != EINTR) return fail_errno("read");
  }
}

Result<std::string> read(const std::string& path) {
  // Never waiting for the other end of a FIFO that lies in the place of a file.
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) return fail_errno(path);
  struct stat found{};
  if (::fstat(fd.get(), &found) == 0 && S_ISFIFO(found.st_mode)) {
    return fail(EINVAL, "{}: a FIFO, and no file", path);
  }
  auto bytes = read(fd.get());
  if (!bytes) return fail(bytes.error().code, "{}: {}", path, bytes.error().message);
  return bytes;
}

Status write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return fail_errno("write");
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  return ok();
}

bool is_unfinished(std::string_view name) { return name.ends_with(kUnfinished); }

Status remove(const std::string& path) {
  return ::unlink(path.c_str()) == 0 || errno == ENOENT ? ok() : fail_errno(path);
}

Status replace(const std::string& path, std::string_view bytes, mode_t mode,
               const std::string& aside) {
  const std::string temporary = aside.empty() ? path + kUnfinished : aside;
  UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
  if (!fd) return fail_errno(temporary);
  const auto put = write_all(fd.get(), bytes);
  if (!put || ::fsync(fd.get()) != 0) {
    const int code = put ? errno : put.error().code;
    ::unlink(temporary.c_str());
    return fail_errno(code, path);
  }
  fd.reset();
  if (::rename(temporary.c_str(), path.c_str()) != 0) return fail_errno(path);
  const std::string parent = std::filesystem::path(path).parent_path();
  const UniqueFd directory(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory) ::fsync(directory.get());
  return ok();
}

Status make_directories(const std::string& path, mode_t mode) {
  // Most are there already.
  if (::mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return ok();
  for (std::size_t end = 1; end != std::string::npos;) {
    end = path.find('/', end);
    const std::string part = path.substr(0, end);
    if (::mkdir(part.c_str(), mode) != 0 && errno != EEXIST) return fail_errno(part);
    if (end != std::string::npos) ++end;
  }
  return ok();
}

Status make_empty_directory(const std::string& path, mode_t mode) {
  struct stat found{};
  if (::lstat(path.c_str(), &found) == 0 && !S_ISDIR(found.st_mode)) TRY(remove(path));
  TRY(make_directories(path, mode));
  std::error_code error;
  std::filesystem::directory_iterator entries(path, error);
  for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error)) {
    std::filesystem::remove_all(entries->path(), error);
    if (error) break;
  }
  return error ? fail_errno(error.value(), path) : ok();
}

bool exists(const std::string& path) {
  struct stat attributes{};
  return ::lstat(path.c_str(), &attributes) == 0;
}

bool is_absent(const std::string& path) {
  struct stat attributes{};
  return ::lstat(path.c_str(), &attributes) != 0 && (errno == ENOENT || errno == ENOTDIR);
}

std::uint64_t identity(int fd) {
  int mount = 0;
  return identity(read_handle(fd, mount).bytes);
}

std::uint64_t identity(std::string_view handle) {
  constexpr std::uint64_t kPositive = ~std::uint64_t{0} >> 1U;  // a number of JSON
  return handle.empty() ? 0 : fnv1a(handle) & kPositive;
}

}  // namespace file
}  // namespace agentfs
