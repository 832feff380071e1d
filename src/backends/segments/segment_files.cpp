// SPDX-License-Identifier: MIT
#include "backends/segments/segment_files.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "base/file.h"
#include "base/log.h"
#include "base/read_at.h"
#include "base/text.h"

namespace agentfs::segments {
namespace {

constexpr std::string_view kSuffix = ".jsonl";
constexpr std::size_t kDigits = 12;

Result<std::uint64_t> size_of(const std::string& path) {
  struct stat attributes{};
  if (::stat(path.c_str(), &attributes) != 0) return fail_errno(path);
  if (S_ISDIR(attributes.st_mode)) {
    return fail(EISDIR, "{}: is a directory, and no file; `agentfs fsck --repair` sets it aside",
                path);
  }
  return static_cast<std::uint64_t>(attributes.st_size);
}

// Where the last whole line ends, looking back from the end of the file.
Result<std::uint64_t> end_of_lines(const std::string& path, std::uint64_t size) {
  constexpr std::uint64_t kChunk = 64u << 10;
  while (size > 0) {
    const std::uint64_t start = size - std::min(size, kChunk);
    const std::string bytes = TRY(read_range(path, start, size - start));
    if (const auto newline = bytes.rfind('\n'); newline != std::string::npos) {
      return start + newline + 1;
    }
    size = start;
  }
  return 0;
}

// A new file "torn-<first sequence>-<offset>", numbered where one of that name is kept already.
Result<UniqueFd> make_torn_file(const SegmentInfo& segment, std::string& path) {
  const auto directory = std::filesystem::path(segment.host_path).parent_path().parent_path();
  const std::string_view stem =
      std::string_view(segment.name).substr(0, segment.name.size() - kSuffix.size());
  const std::string base = directory / fmt::format("torn-{}-{}", stem, segment.size);
  path = base;
  for (int attempt = 2;; ++attempt) {
    UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (fd) return fd;
    if (errno != EEXIST) return fail_errno(path);
    path = fmt::format("{}-{}", base, attempt);
  }
}

Status cut_torn_end(const SegmentInfo& segment, std::uint64_t file_size) {
  const std::string torn =
      TRY(read_range(segment.host_path, segment.size, file_size - segment.size));
  std::string kept_path;
  const UniqueFd kept = TRY(make_torn_file(segment, kept_path));
  TRY(file::write_all(kept.get(), torn));
  if (::fsync(kept.get()) != 0) return fail_errno(kept_path);
  TRY(sync_directory(std::filesystem::path(kept_path).parent_path()));
  const UniqueFd fd(::open(segment.host_path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(segment.size)) != 0 ||
      ::fsync(fd.get()) != 0) {
    return fail_errno(segment.host_path);
  }
  log::warning("{}: the last line was torn ({} bytes); they are kept in {}", segment.host_path,
               torn.size(), kept_path);
  return ok();
}

}  // namespace

std::string segment_name(std::uint64_t first_sequence) {
  return fmt::format("{:0{}}{}", first_sequence, kDigits, kSuffix);
}

std::optional<std::uint64_t> first_sequence_of(std::string_view name) {
  if (!name.ends_with(kSuffix)) return std::nullopt;
  name.remove_suffix(kSuffix.size());
  const auto sequence = text::number<std::uint64_t>(name);
  if (!sequence || *sequence == 0 || name.size() < kDigits) return std::nullopt;
  return sequence;
}

Result<std::vector<SegmentInfo>> find_segments(const std::string& directory, bool look_only) {
  std::vector<SegmentInfo> found;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename();
    if (first_sequence_of(name)) found.push_back({.name = name, .host_path = entry->path()});
  }
  if (error) return fail_errno(error.value(), directory);
  std::ranges::sort(found, {}, [](const SegmentInfo& s) { return first_sequence_of(s.name); });
  for (SegmentInfo& segment : found) {
    const std::uint64_t size = TRY(size_of(segment.host_path));
    segment.size = TRY(end_of_lines(segment.host_path, size));
    if (size == segment.size || look_only) continue;
    // Only the last one can be torn: each was synced before the next began. Anything else is
    // damage, and evidence: it stays where it is.
    if (&segment == &found.back()) {
      TRY(cut_torn_end(segment, size));
    } else {
      log::warning("{}: ends within a line ({} bytes after the last whole one)", segment.host_path,
                   size - segment.size);
    }
  }
  return found;
}

Status sync_directory(const std::string& directory) {
  const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return fail_errno(directory);
  return ok();
}

void write_in_place(int fd) {
  int flags = 0;
  if (::ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0) return;
  flags |= FS_NOCOW_FL;
  ::ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

Result<std::string> read_range(const std::string& path, std::uint64_t offset, std::uint64_t size) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return fail_errno(path);
  auto bytes = read_at(fd.get(), offset, size);
  if (!bytes) return fail_errno(bytes.error().code, path);
  if (bytes->size() < size) {
    return fail(EBADMSG, "{}: ends at byte {}; {} were written", path, offset + bytes->size(),
                offset + size);
  }
  return bytes;
}

}  // namespace agentfs::segments
