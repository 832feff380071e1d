// SPDX-License-Identifier: MIT
#include "backends/git/objects.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>

#include "base/text.h"

namespace agentfs::git {
namespace {

// Larger files are stored as they are, without passing through memory.
constexpr off_t kStreamedFrom = off_t{64} << 20;

Status fsync_if_there(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd && errno == ENOENT) return ok();  // it lies in a pack
  if (!fd || ::fsync(fd.get()) != 0) return fail_errno(path);
  return ok();
}

}  // namespace

Status sync_ref(git_repository* repository, const std::string& ref) {
  const std::string path = git_repository_commondir(repository) + ref;
  TRY(fsync_if_there(path));
  return fsync_if_there(path.substr(0, path.rfind('/')));
}

std::string to_hex(const git_oid& id) {
  std::string digits(GIT_OID_HEXSZ, '0');
  git_oid_fmt(digits.data(), &id);
  return digits;
}

Result<git_oid> ObjectWriter::file(int fd, const std::string& path) {
  struct stat attributes{};
  if (::fstat(fd, &attributes) != 0) return fail_errno(text::shown(path));
  if (attributes.st_size >= kStreamedFrom) return stream(fd, path);
  const std::string content = TRY(file::read(fd));
  git_filter_list* raw = nullptr;
  TRY(check(git_filter_list_load(&raw, repository_, nullptr, path.c_str(), GIT_FILTER_TO_ODB,
                                 GIT_FILTER_ALLOW_UNSAFE),
            text::shown(path)));
  const FilterHandle filters(raw);
  return filters ? filtered(filters.get(), content) : bytes(content);
}

Result<git_oid> ObjectWriter::bytes(std::string_view bytes) {
  git_oid id{};
  TRY(check(git_blob_create_from_buffer(&id, repository_, bytes.data(), bytes.size()), "blob"));
  note(id);
  return id;
}

Result<git_oid> ObjectWriter::filtered(git_filter_list* filters, std::string_view raw) {
  git_buf buffer{};
  TRY(check(git_filter_list_apply_to_buffer(&buffer, filters, raw.data(), raw.size()), "filter"));
  const auto id = bytes({buffer.ptr, buffer.size});
  git_buf_dispose(&buffer);
  return id;
}

Result<git_oid> ObjectWriter::stream(int file, const std::string& path) {
  git_writestream* stream = nullptr;
  TRY(check(git_blob_create_from_stream(&stream, repository_, nullptr), "blob"));
  std::string chunk(std::size_t{1} << 20, '\0');
  ssize_t got = 0;
  int result = 0;
  while (result == 0 && (got = ::read(file, chunk.data(), chunk.size())) > 0) {
    result = stream->write(stream, chunk.data(), static_cast<std::size_t>(got));
  }
  if (got < 0 || result < 0) {
    auto failed = got < 0 ? fail_errno(text::shown(path)) : failure(result, text::shown(path));
    stream->free(stream);
    return failed;
  }
  git_oid id{};
  TRY(check(git_blob_create_from_stream_commit(&id, stream), text::shown(path)));
  note(id);
  return id;
}

Result<git_oid> ObjectWriter::tree(git_treebuilder* builder) {
  git_oid id{};
  TRY(check(git_treebuilder_write(&id, builder), "tree"));
  note(id);
  return id;
}

Status ObjectWriter::sync() const {
  const std::string objects = std::string(git_repository_commondir(repository_)) + "objects";
  constexpr std::size_t kOneByOne = 64;
  if (written_.size() > kOneByOne) {
    const UniqueFd fd(::open(objects.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd || ::syncfs(fd.get()) != 0) return fail_errno(objects);
    return ok();
  }
  std::set<std::string> folders = {objects};
  for (const git_oid& id : written_) {
    const std::string digits = to_hex(id);
    const std::string folder = objects + "/" + digits.substr(0, 2);
    TRY(fsync_if_there(folder + "/" + digits.substr(2)));
    folders.insert(folder);
  }
  for (const std::string& folder : folders) TRY(fsync_if_there(folder));
  return ok();
}

}  // namespace agentfs::git
