// SPDX-License-Identifier: MIT
#include "base/prepared_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

namespace agentfs {
namespace {

constexpr std::string_view kPrepared = ".prepared";

}  // namespace

std::string PreparedFile::temporary() const { return path_ + std::string(kPrepared); }

bool PreparedFile::is_left(std::string_view name) { return name.ends_with(kPrepared); }

Result<PreparedFile> PreparedFile::begin(const std::string& path, std::size_t bytes) {
  PreparedFile prepared(path, UniqueFd());
  const std::string temporary = prepared.temporary();
  prepared.file_ =
      UniqueFd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!prepared.file_) return fail_errno(temporary);
  const Status written = file::write_all(prepared.file_.get(), std::string(bytes, '\n'));
  if (!written) return fail(written.error().code, "{}: {}", temporary, written.error().message);
  return prepared;
}

PreparedFile::~PreparedFile() {
  if (file_) ::unlink(temporary().c_str());
}

// Written over what is there, and cut to its length last.
Status PreparedFile::replace(std::string_view bytes, bool durable) {
  if (::lseek(file_.get(), 0, SEEK_SET) != 0) return fail_errno(path_);
  TRY(file::write_all(file_.get(), bytes));
  if (::ftruncate(file_.get(), static_cast<off_t>(bytes.size())) != 0) return fail_errno(path_);
  if (durable && ::fsync(file_.get()) != 0) return fail_errno(path_);
  if (::rename(temporary().c_str(), path_.c_str()) != 0) return fail_errno(path_);
  file_.reset();
  const std::string parent(path_.substr(0, path_.rfind('/')));
  const UniqueFd directory(durable ? ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                                   : -1);
  if (directory) ::fsync(directory.get());
  return ok();
}

}  // namespace agentfs
