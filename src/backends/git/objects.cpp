// SPDX-License-Identifier: MIT
#include "backends/git/objects.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <set>

#include "backends/git/guessed_text.h"
#include "base/text.h"

namespace agentfs::git {
namespace {

// Larger files are stored as they are, without passing through memory.
constexpr off_t kStreamedFrom = off_t{64} << 20;

constexpr std::string_view kEnding = "\r\n";  // what filters of text change

// Whether the file system has one journal, in which the names that were made before are committed
// with any fsync: then only the bytes need be written one by one, which is some hundred times
// cheaper than an fsync each.
bool one_fsync_commits_all(int fd) {
  struct statfs system{};
  if (::fstatfs(fd, &system) != 0) return false;
  return system.f_type == EXT4_SUPER_MAGIC || system.f_type == XFS_SUPER_MAGIC;
}

std::string loose_name(const git_oid& id) {
  const std::string hash = to_hex(id);
  return fmt::format("{}/{}", hash.substr(0, 2), hash.substr(2));
}

// libgit2 (1.5) says that it has written what it had no room to make a directory for.
Status check_written(git_repository* repository, int folder, const std::vector<git_oid>& ids) {
  git_odb* raw = nullptr;
  TRY(check(git_repository_odb(&raw, repository), "objects"));
  const OdbHandle all(raw);
  for (const git_oid& id : ids) {
    const std::string name = loose_name(id);
    if (::faccessat(folder, name.c_str(), F_OK, 0) == 0 || git_odb_exists(raw, &id) == 1) continue;
    return fail(ENOSPC, "git: objects/{}: was not written; with more room it would be", name);
  }
  return ok();
}

// Loose objects by name below the objects directory; those that lie in a pack are left out.
Status write_out(int folder, const std::vector<git_oid>& ids, unsigned flags) {
  for (const git_oid& id : ids) {
    const std::string name = loose_name(id);
    const UniqueFd object(::openat(folder, name.c_str(), O_RDONLY | O_CLOEXEC));
    if (!object && errno == ENOENT) continue;
    if (!object || ::sync_file_range(object.get(), 0, 0, flags) != 0) return fail_errno(name);
  }
  return ok();
}

// As git asks it: one of the remotes has promised what is not here.
Result<bool> is_partial_clone(git_repository* repository) {
  git_config* raw = nullptr;
  TRY(check(git_repository_config_snapshot(&raw, repository), "config"));
  const ConfigHandle config(raw);
  bool is_promised = false;
  const auto note = [](const git_config_entry* entry, void* found) {
    int is_set = 0;
    if (git_config_parse_bool(&is_set, entry->value) == 0 && is_set != 0) {
      *static_cast<bool*>(found) = true;
    }
    return 0;
  };
  TRY(check(git_config_foreach_match(raw, R"(^remote\..*\.promisor$)", note, &is_promised),
            "config"));
  return is_promised;
}

// Whether attributes leave it to git to find out what is text, or say nothing.
Result<bool> is_guessed(git_repository* repository, const std::string& path) {
  std::array<const char*, 3> names{"text", "crlf", "eol"};
  std::array<const char*, 3> values{};
  TRY(check(git_attr_get_many(values.data(), repository, GIT_ATTR_CHECK_NO_SYSTEM, path.c_str(),
                              names.size(), names.data()),
            text::shown(path)));
  if (git_attr_value(values[0]) == GIT_ATTR_VALUE_STRING)
    return std::string_view(values[0]) == "auto";
  return std::ranges::all_of(values, [](const char* value) {
    return git_attr_value(value) == GIT_ATTR_VALUE_UNSPECIFIED;
  });
}

}  // namespace

Status sync_ref(git_repository* repository, const std::string& ref, const Owner& owner) {
  for (auto slash = ref.find('/'); slash != ref.npos; slash = ref.find('/', slash + 1)) {
    owner.give(ref.substr(0, slash));
  }
  owner.give(ref);
  const std::string path = git_repository_commondir(repository) + ref;
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd && errno == ENOENT) return ok();  // packed meanwhile, which git syncs
  if (!fd || ::fsync(fd.get()) != 0) return fail_errno(path);
  return ok();
}

std::string to_hex(const git_oid& id) {
  std::string digits(GIT_OID_HEXSZ, '0');
  git_oid_fmt(digits.data(), &id);
  return digits;
}

Result<bool> is_made_by_others(git_repository* repository, const std::string& path) {
  for (const char* name : {"filter", "working-tree-encoding", "ident"}) {
    const char* value = nullptr;
    TRY(check(git_attr_get(&value, repository, GIT_ATTR_CHECK_NO_SYSTEM, path.c_str(), name),
              text::shown(path)));
    const auto kind = git_attr_value(value);
    if (kind == GIT_ATTR_VALUE_STRING || kind == GIT_ATTR_VALUE_TRUE) return true;
  }
  return false;
}

Result<bool> ObjectWriter::may_have(const git_oid& id) {
  if (!is_partial_) is_partial_ = TRY(is_partial_clone(repository_));
  if (*is_partial_) return true;
  git_odb* raw = nullptr;
  TRY(check(git_repository_odb(&raw, repository_), "objects"));
  const OdbHandle all(raw);
  return git_odb_exists(raw, &id) != 0;
}

Result<bool> has_blob(git_repository* repository, const git_oid& id, std::uint64_t size) {
  git_odb* raw = nullptr;
  TRY(check(git_repository_odb(&raw, repository), "objects"));
  const OdbHandle all(raw);
  std::size_t found = 0;
  git_object_t type = GIT_OBJECT_INVALID;
  return git_odb_read_header(&found, &type, raw, &id) == 0 && type == GIT_OBJECT_BLOB &&
         found == size;
}

// What another program than libgit2 would change is stored as it lies, with its line endings: in
// another encoding these bytes may be none.
Result<git_oid> ObjectWriter::file(int fd, const std::string& path, bool as_it_lies,
                                   const git_oid* before) {
  struct stat attributes{};
  if (::fstat(fd, &attributes) != 0) return fail_errno(text::shown(path));
  if (attributes.st_size >= kStreamedFrom) return stream(fd, path);
  const std::string content = TRY(file::read(fd));
  if (as_it_lies || TRY(is_made_by_others(repository_, path))) return bytes(content);
  return filtered(
      content, path, [&] { return indexed_blob(path, before); },
      [this](std::string_view stored) { return bytes(stored); });
}

Result<bool> ObjectWriter::changes(const git_oid& blob, const std::string& path) {
  git_blob* raw = nullptr;
  TRY(check(git_blob_lookup(&raw, repository_, &blob), text::shown(path)));
  const BlobHandle found(raw);
  const std::string_view held = bytes_of(raw);
  if (held.size() >= static_cast<std::size_t>(kStreamedFrom)) return false;
  return filtered(
      held, path, [&] { return &blob; },
      [&](std::string_view stored) -> Result<bool> { return stored != held; });
}

// Where git only guesses whether it is text it leaves alone what is none, and what has had such
// line endings in the index: libgit2 guesses otherwise, and has no index here.
template <class Indexed, class Use>
auto ObjectWriter::filtered(std::string_view bytes, const std::string& path, const Indexed& indexed,
                            const Use& use) -> decltype(use(bytes)) {
  if (!bytes.contains(kEnding)) return use(bytes);
  git_filter_list* raw = nullptr;
  TRY(check(git_filter_list_load(&raw, repository_, nullptr, path.c_str(), GIT_FILTER_TO_ODB,
                                 GIT_FILTER_ALLOW_UNSAFE),
            text::shown(path)));
  const FilterHandle filters(raw);
  if (!filters) return use(bytes);
  const bool keeps = TRY(is_guessed(repository_, path)) &&
                     (endings_of(bytes).is_binary || TRY(has_text_with_crlf(indexed(), path)));
  if (keeps) return use(bytes);
  git_buf buffer{};
  TRY(check(git_filter_list_apply_to_buffer(&buffer, raw, bytes.data(), bytes.size()), "filter"));
  auto used = use({buffer.ptr, buffer.size});
  git_buf_dispose(&buffer);
  return used;
}

const git_oid* ObjectWriter::indexed_blob(const std::string& path, const git_oid* before) {
  if (!index_.can_be_read()) return before;
  const git_index_entry* const entry = index_.find_ours(path);
  return entry != nullptr && S_ISREG(entry->mode) ? &entry->id : nullptr;
}

// Of one that is null, or that the repository has not: no.
Result<bool> ObjectWriter::has_text_with_crlf(const git_oid* blob, const std::string& path) const {
  git_blob* raw = nullptr;
  const int result = blob == nullptr ? GIT_ENOTFOUND : git_blob_lookup(&raw, repository_, blob);
  if (result == GIT_ENOTFOUND) return false;
  TRY(check(result, text::shown(path)));
  const BlobHandle found(raw);
  const Endings endings = endings_of(bytes_of(raw));
  return endings.has_crlf && !endings.is_binary;
}

Result<git_oid> ObjectWriter::bytes(std::string_view bytes) {
  git_oid id{};
  TRY(check(git_blob_create_from_buffer(&id, repository_, bytes.data(), bytes.size()), "blob"));
  note(id);
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

Status ObjectWriter::sync(const Owner& owner) const {
  if (written_.empty()) return ok();
  const std::string objects = std::string(git_repository_commondir(repository_)) + "objects";
  const UniqueFd folder(::open(objects.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return fail_errno(objects);
  TRY(check_written(repository_, folder.get(), written_));
  for (const auto& [id, readers] : closed_) owner.give("objects/" + loose_name(id), readers);
  std::set<std::string> folders;
  for (const git_oid& id : written_) {
    const std::string name = "objects/" + loose_name(id);
    owner.give(name);
    folders.emplace(text::parent_part(name));
  }
  for (const std::string& one : folders) owner.give(one);
  if (!one_fsync_commits_all(folder.get())) {
    return ::syncfs(folder.get()) == 0 ? ok() : Status(fail_errno(objects));
  }
  // All are begun before any is waited for.
  TRY(write_out(folder.get(), written_, SYNC_FILE_RANGE_WRITE));
  TRY(write_out(folder.get(), written_,
                SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER));
  return ::fsync(folder.get()) == 0 ? ok() : Status(fail_errno(objects));
}

}  // namespace agentfs::git
