// SPDX-License-Identifier: MIT
#include "backends/blobs/blobs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <system_error>

#include "base/file.h"
#include "base/hash.h"
#include "base/mutex.h"
#include "base/text.h"

namespace agentfs {
namespace {

constexpr std::size_t kHashDigits = 64;

bool is_hash(std::string_view word) {
  return word.size() == kHashDigits &&
         word.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Status fsync_path(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return fail_errno(path);
  return ok();
}

class BlobFiles final : public BlobStore {
 public:
  explicit BlobFiles(std::string directory) : directory_(std::move(directory)) {}

  Status open();
  Result<std::string> put(std::string_view bytes) override;
  Result<std::string> get(std::string_view hash) const override;
  Status sync() override EXCLUDES(mutex_);

 private:
  using Unsynced = std::map<std::string, std::uint64_t>;  // hashes, and their last put

  std::string folder_of(std::string_view hash) const {
    return fmt::format("{}/{}", directory_, hash.substr(0, 2));
  }
  std::string path_of(std::string_view hash) const {
    return fmt::format("{}/{}", folder_of(hash), hash);
  }
  std::string unfinished() const { return directory_ + "/new"; }
  Status write(std::string_view hash, std::string_view bytes);
  Status flush(const Unsynced& puts) const;

  const std::string directory_;
  std::atomic<std::uint64_t> next_temporary_ = 1;
  Mutex<Rank::store> mutex_;
  std::uint64_t puts_ GUARDED_BY(mutex_) = 0;
  Unsynced unsynced_ GUARDED_BY(mutex_);
};

Status BlobFiles::open() {
  TRY(file::make_directories(directory_, 0700));
  return file::make_empty_directory(unfinished(), 0700);
}

Result<std::string> BlobFiles::put(std::string_view bytes) {
  std::string hash = blake2b(bytes);
  const auto there = file::read(path_of(hash));
  if (!there || *there != bytes) TRY(write(hash, bytes));
  // Also where it was there: who put it first may not have synced it yet.
  const Lock lock(mutex_);
  unsynced_[hash] = ++puts_;
  return hash;
}

Status BlobFiles::write(std::string_view hash, std::string_view bytes) {
  const std::string temporary = fmt::format("{}/{}", unfinished(), next_temporary_++);
  TRY(file::make_directories(folder_of(hash), 0700));
  const UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400));
  if (!fd) return fail_errno(temporary);
  const auto put = file::write_all(fd.get(), bytes);
  if (put && ::rename(temporary.c_str(), path_of(hash).c_str()) == 0) return ok();
  const int code = put ? errno : put.error().code;
  ::unlink(temporary.c_str());
  return fail_errno(code, path_of(hash));
}

Result<std::string> BlobFiles::get(std::string_view hash) const {
  if (!is_hash(hash)) {
    return fail(ENOENT, "blob: {} is no hash; 64 hexadecimal digits are", text::shown(hash));
  }
  auto bytes = file::read(path_of(hash));
  if (!bytes && bytes.error().code == ENOENT) return fail(ENOENT, "blob: no blob {}", hash);
  if (bytes && blake2b(*bytes) != hash) {
    return fail(EBADMSG, "{}: its {} bytes do not have that hash; the file is damaged",
                path_of(hash), bytes->size());
  }
  return bytes;
}

Status BlobFiles::sync() {
  Unsynced puts;
  {
    const Lock lock(mutex_);
    puts = unsynced_;
  }
  TRY(flush(puts));
  // Only now: a second sync that runs beside this one must not return before they are safe. What
  // was put again meanwhile may be another file by now.
  const Lock lock(mutex_);
  std::erase_if(unsynced_, [&](const auto& entry) {
    const auto synced = puts.find(entry.first);
    return synced != puts.end() && synced->second == entry.second;
  });
  return ok();
}

Status BlobFiles::flush(const Unsynced& puts) const {
  constexpr std::size_t kOneByOne = 64;
  if (puts.size() > kOneByOne) {
    const UniqueFd fd(::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd || ::syncfs(fd.get()) != 0) return fail_errno(directory_);
    return ok();
  }
  for (const auto& [hash, number] : puts) {
    TRY(fsync_path(path_of(hash)));
    TRY(fsync_path(folder_of(hash)));
  }
  return puts.empty() ? ok() : fsync_path(directory_);
}

}  // namespace

Result<std::unique_ptr<BlobStore>> open_blobs(const std::string& directory) {
  auto blobs = std::make_unique<BlobFiles>(directory);
  TRY(blobs->open());
  return blobs;
}

}  // namespace agentfs
