// SPDX-License-Identifier: MIT
#include "backends/git/tree_update.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <climits>
#include <set>
#include <utility>

#include "backends/git/dot_git.h"
#include "base/log.h"
#include "base/text.h"

namespace agentfs::git {
namespace {

std::set<std::string> names_of(const git_tree* tree) {
  std::set<std::string> names;
  const std::size_t count = tree == nullptr ? 0 : git_tree_entrycount(tree);
  for (std::size_t i = 0; i < count; ++i) {
    names.emplace(git_tree_entry_name(git_tree_entry_byindex(tree, i)));
  }
  return names;
}

// Everything that is, or was, in a directory.
Result<std::set<std::string>> all_names(int fd, const git_tree* base) {
  const auto there = TRY(names_in(fd));
  std::set<std::string> names = names_of(base);
  names.insert(there.begin(), there.end());
  return names;
}

// Larger files are data, not sources: compressing them would take longer than a turn may.
constexpr off_t kLargestFile = off_t{256} << 20;

Result<UniqueFd> open_small_file(int directory, const std::string& name) {
  UniqueFd file = TRY(open_file(directory, name));
  struct stat attributes{};
  if (::fstat(file.get(), &attributes) != 0) return fail_errno(text::shown(name));
  if (attributes.st_size <= kLargestFile) return file;
  return fail(EFBIG, "it has {} bytes; up to {} are recorded", attributes.st_size, kLargestFile);
}

constexpr const char* kInfoAttributes = "info/attributes";

const Change kWhole{.whole = true};
const Change kUnignored{.unignored = true};

Error not_theirs() { return {EACCES, "the repository's owner may not read it"}; }

}  // namespace

Result<std::optional<git_oid>> TreeUpdate::run(const std::string& worktree, const git_tree* base,
                                               const Change& changes) {
  const UniqueFd top(::open(worktree.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!top) return fail_errno(worktree);
  worktree_ = worktree;
  top_ = top.get();
  TRY(check_rules(top_, top_, "", is_theirs_));
  OddRules odd;
  odd.read(
      file::read(std::string(git_repository_path(repository_)) + kInfoAttributes).value_or(""));
  return directory({.fd = top_, .path = "", .odd = odd.in(top_)}, base, changes);
}

Result<std::optional<git_oid>> TreeUpdate::directory(const Directory& in, const git_tree* base,
                                                     const Change& changes) {
  git_treebuilder* raw = nullptr;
  TRY(check(git_treebuilder_new(&raw, repository_, base), "tree"));
  const BuilderHandle builder(raw);
  Directory here = in;
  here.builder = raw;
  TRY(add_away_rules(in, base, changes));
  const auto update = [&](const std::string& name, const Change& change) -> Status {
    if (change.left && change.below.empty()) return ok();
    if (change.known != nullptr) return known(here, name, *change.known);
    if (change.away != nullptr) TRY(away(here, name, *change.away));
    const auto kind = kind_of(in.fd, name);
    if (!kind) return leave(here, name, kind.error());
    // What is beside a directory that git keeps away as one.
    const bool is_taken = change.away != nullptr &&
                          (change.away->mode != GIT_FILEMODE_TREE || *kind != Kind::directory);
    if (is_taken) return ok();
    return entry(here, {name, *kind, git_treebuilder_get(raw, name.c_str())}, change);
  };
  if (changes.whole) {
    std::set<std::string> names = TRY(all_names(in.fd, base));
    for (const auto& [name, change] : changes.below) names.insert(name);
    for (const std::string& name : names) {
      const auto known = changes.below.find(name);
      TRY(update(name, known == changes.below.end() ? kWhole : known->second));
    }
  } else {
    for (const auto& [name, change] : changes.below) TRY(update(name, change));
    const bool looks = changes.unignored;
    for (const std::string& name : looks ? TRY(names_in(in.fd)) : std::vector<std::string>()) {
      if (changes.below.contains(name)) continue;
      const bool is_new = git_treebuilder_get(raw, name.c_str()) == nullptr;
      const auto kind = is_new ? Kind::none : kind_of(in.fd, name);
      if (is_new || (kind && *kind == Kind::directory))
        TRY(update(name, is_new ? kWhole : kUnignored));
    }
  }
  if (git_treebuilder_entrycount(raw) == 0) return std::nullopt;
  const git_oid id = TRY(objects_.tree(raw));
  objects_.keep_from(id, in.readers);
  return id;
}

Status TreeUpdate::entry(const Directory& in, const Entry& entry, const Change& change) {
  if (in.path.size() + entry.name.size() + 2 > PATH_MAX) {
    return leave(in, entry.name, {ENAMETOOLONG, "the path is too long"});
  }
  const bool is_there = entry.kind != Kind::none && entry.kind != Kind::other;
  if (!is_there) return remove(in, entry, change);
  if (may_be_left_out(entry) && TRY(is_left_out(in, entry, change))) return keep_base(in, entry);
  return entry.kind == Kind::directory ? subdirectory(in, entry, change) : leaf(in, entry);
}

Status TreeUpdate::leave(const Directory& in, const std::string& name, const Error& error) const {
  switch (error.code) {
    // Gone, or another kind of thing, since it was looked at: a later turn has it.
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case EACCES:
    case EPERM:
    case ENAMETOOLONG:
    case EFBIG:
      log::warning("git: {} is left out of the turn's commit: {}", text::shown(in.path + name),
                   error.message);
      return ok();
    default:
      return std::unexpected(error);
  }
}

Status TreeUpdate::add_away_rules(const Directory& in, const git_tree* base,
                                  const Change& changes) {
  constexpr const char* kRules = ".gitignore";
  const auto told = changes.below.find(kRules);
  const git_tree_entry* const was = base == nullptr ? nullptr : git_tree_entry_byname(base, kRules);
  if (told == changes.below.end() && was == nullptr) return ok();
  const auto kind = kind_of(in.fd, kRules);
  if (!kind || *kind != Kind::none) return ok();
  if (told != changes.below.end() && told->second.away != nullptr) {
    git_oid id{};
    TRY(check(git_oid_fromstr(&id, told->second.away->id.c_str()), kRules));
    return away_rules_.add(in.path, id);
  }
  if (was == nullptr || git_tree_entry_type(was) != GIT_OBJECT_BLOB) return ok();
  const git_index_entry* const kept = asks_index_ ? index_.find_away(in.path + kRules) : nullptr;
  if (kept != nullptr) return away_rules_.add(in.path, kept->id);
  const bool may_be_gone = told != changes.below.end() || changes.whole || asks_index_;
  if (may_be_gone && !in.is_away && !hides_away()) return ok();
  return away_rules_.add(in.path, *git_tree_entry_id(was));
}

// Of what the parent has, whether git still tracks it says the index alone.
bool TreeUpdate::may_be_left_out(const Entry& entry) const {
  if (entry.base == nullptr) return true;
  return entry.kind != Kind::directory && (is_theirs_ || !asks_index_);
}

// As the parent has it, where that is the same kind of thing.
Status TreeUpdate::keep_base(const Directory& in, const Entry& entry) {
  if (entry.base == nullptr) return ok();
  const git_filemode_t mode = git_tree_entry_filemode(entry.base);
  const bool is_link = entry.kind == Kind::link;
  const bool is_blob = mode == GIT_FILEMODE_BLOB || mode == GIT_FILEMODE_BLOB_EXECUTABLE;
  return (is_link ? mode == GIT_FILEMODE_LINK : is_blob) ? ok() : remove(in, entry, kWhole);
}

Result<bool> TreeUpdate::is_left_out(const Directory& in, const Entry& entry,
                                     const Change& change) {
  if (!is_theirs_ && (change.ignored || !away_rules_.any())) return change.ignored;
  const std::string path = in.path + entry.name + (entry.kind == Kind::directory ? "/" : "");
  int ignored = 0;
  TRY(check(git_ignore_path_is_ignored(&ignored, repository_, path.c_str()), text::shown(path)));
  if (ignored == 0 || (entry.base != nullptr && !index_.can_be_read())) return false;
  return !index_.is_tracked(path);
}

Status TreeUpdate::leaf(const Directory& in, const Entry& entry) {
  if (entry.kind == Kind::link) {
    const auto target = read_link(in.fd, entry.name);
    if (!target) return leave(in, entry.name, target.error());
    const git_oid id = TRY(objects_.bytes(*target));
    objects_.keep_from(id, in.readers);
    return insert(in, entry.name, id, GIT_FILEMODE_LINK);
  }
  const auto file = open_small_file(in.fd, entry.name);
  if (!file) return leave(in, entry.name, file.error());
  struct stat attributes{};
  if (::fstat(file->get(), &attributes) != 0) return fail_errno(text::shown(entry.name));
  if (!owner_.may_read(attributes)) return leave(in, entry.name, not_theirs());
  const bool was_blob = entry.base != nullptr && git_tree_entry_type(entry.base) == GIT_OBJECT_BLOB;
  const git_oid* const before = was_blob ? git_tree_entry_id(entry.base) : nullptr;
  const git_oid id = TRY(objects_.file(file->get(), in.path + entry.name, in.odd.any(), before));
  objects_.keep_from(id, in.readers & owner_.readers_of(attributes));
  return insert(in, entry.name, id,
                entry.kind == Kind::executable ? GIT_FILEMODE_BLOB_EXECUTABLE : GIT_FILEMODE_BLOB);
}

Status TreeUpdate::known(const Directory& in, const std::string& name, const KnownFile& file) {
  git_oid id{};
  TRY(check(git_oid_fromstr(&id, file.id.c_str()), text::shown(file.path)));
  if (!TRY(has_blob(repository_, id, file.size))) {
    return fail(ENODATA, "git: the repository has no blob {} of {} bytes (of {})", file.id,
                file.size, text::shown(file.path));
  }
  const auto mode = file.kind == KnownFile::Kind::link         ? GIT_FILEMODE_LINK
                    : file.kind == KnownFile::Kind::executable ? GIT_FILEMODE_BLOB_EXECUTABLE
                                                               : GIT_FILEMODE_BLOB;
  const bool is_link = file.kind == KnownFile::Kind::link;
  if (!is_link && TRY(is_made_by_others(repository_, file.path))) {
    return fail(ENODATA, "git: {}: what git has of it, a filter has made", text::shown(file.path));
  }
  if (!is_link && TRY(objects_.changes(id, file.path))) {
    return fail(ENODATA, "git: {}: has other line endings than git would store",
                text::shown(file.path));
  }
  return insert(in, name, id, mode);
}

Status TreeUpdate::subdirectory(const Directory& in, const Entry& entry, const Change& change) {
  bool nested = false;
  const auto commit = TRY(nested_commit(in.path + entry.name, nested));
  if (commit && !change.left) return insert(in, entry.name, *commit, GIT_FILEMODE_COMMIT);
  if (nested) return ok();
  return descend(in, entry, change);
}

Status TreeUpdate::descend(const Directory& in, const Entry& entry, const Change& change) {
  const auto fd = open_directory(in.fd, entry.name);
  if (!fd) return leave(in, entry.name, fd.error());
  struct stat attributes{};
  if (::fstat(fd->get(), &attributes) != 0) return fail_errno(text::shown(entry.name));
  if (!owner_.may_read(attributes)) return leave(in, entry.name, not_theirs());
  const std::string path = in.path + entry.name + "/";
  if (const auto rules = check_rules(top_, fd->get(), path, is_theirs_); !rules) {
    return leave(in, entry.name, rules.error());
  }
  const bool submodule =
      entry.base != nullptr && git_tree_entry_filemode(entry.base) == GIT_FILEMODE_COMMIT;
  // A submodule that is not checked out is an empty directory.
  if (submodule && TRY(names_in(fd->get())).empty()) return uninhabited(in, entry);
  const TreeHandle base = TRY(tree_of(repository_, entry.base));
  // In place of something else, all that is there is new, but for what is told otherwise.
  const bool is_told = change.whole || change.left;
  const bool replaces = entry.base != nullptr && !base && !is_told;
  const mode_t readers = in.readers & owner_.readers_of(attributes);
  const Directory below{.fd = fd->get(),
                        .path = path,
                        .readers = readers,
                        .is_away = in.is_away || change.away != nullptr,
                        .odd = in.odd.in(fd->get())};
  const auto id = TRY(directory(below, base.get(), replaces ? kWhole : change));
  return id ? insert(in, entry.name, *id, GIT_FILEMODE_TREE) : remove(in, entry, kWhole);
}

Result<std::optional<git_oid>> TreeUpdate::nested_commit(const std::string& path,
                                                         bool& nested) const {
  const std::string place = worktree_ + "/" + path;
  if (!has_git_in(place)) return std::nullopt;
  nested = true;
  if (!TRY(has_usable_git(place))) return std::nullopt;
  if (const Status plain = check_nested_git(place); !plain) {
    log::warning("git: {} is left out of the commit: {}", text::shown(path), plain.error().message);
    return std::nullopt;
  }
  git_repository* raw = nullptr;
  // Its settings name the place that it was made at, which it may have been moved from.
  constexpr unsigned kFlags = GIT_REPOSITORY_OPEN_NO_SEARCH | GIT_REPOSITORY_OPEN_BARE;
  if (git_repository_open_ext(&raw, (place + "/.git").c_str(), kFlags, nullptr) < 0) {
    nested = false;  // a directory that only has a .git in it: what is beside it counts
    return std::nullopt;
  }
  const RepositoryHandle repository(raw);
  git_oid head{};
  if (git_reference_name_to_id(&head, raw, "HEAD") < 0) return std::nullopt;
  return head;
}

Status TreeUpdate::insert(const Directory& in, const std::string& name, const git_oid& id,
                          git_filemode_t mode) {
  const int result = git_treebuilder_insert(nullptr, in.builder, name.c_str(), &id, mode);
  const git_error* const last = result < 0 ? git_error_last() : nullptr;
  if (last != nullptr && last->klass == GIT_ERROR_TREE) {
    // Names such as "git~1", which would be .git on other systems.
    log::warning("git: {} is left out of the turn's commit: {}", text::shown(in.path + name),
                 last->message);
    return ok();
  }
  return check(result, text::shown(in.path + name));
}

// What is kept away from the worktree is as the index has it, of a directory, too.
Status TreeUpdate::remove(const Directory& in, const Entry& entry, const Change& change) {
  const std::string path = in.path + entry.name;
  const TreeHandle base = TRY(tree_of(repository_, entry.base));
  if ((in.is_away || hides_away()) && !change.has_away) return ok();
  if (change.has_away || (base && asks_index_ && index_.has_away_below(path + "/"))) {
    const auto left = TRY(what_is_away(in, path, base.get(), change));
    if (left) return insert(in, entry.name, *left, GIT_FILEMODE_TREE);
  }
  if (entry.base == nullptr) return ok();
  const git_index_entry* const kept = base || !asks_index_ ? nullptr : index_.find_away(path);
  if (kept != nullptr) return away(in, entry.name, {kept->mode, to_hex(kept->id), path});
  return check(git_treebuilder_remove(in.builder, entry.name.c_str()), text::shown(path));
}

Result<std::optional<git_oid>> TreeUpdate::what_is_away(const Directory& in,
                                                        const std::string& path,
                                                        const git_tree* base,
                                                        const Change& change) {
  git_treebuilder* raw = nullptr;
  TRY(check(git_treebuilder_new(&raw, repository_, base), text::shown(path)));
  const BuilderHandle builder(raw);
  const Directory below{
      .path = path + "/", .builder = raw, .readers = in.readers, .is_away = in.is_away};
  std::set<std::string> names = names_of(base);
  for (const auto& [name, unused] : change.below) names.insert(name);
  for (const std::string& name : names) {
    const auto found = change.below.find(name);
    const Change& what = found == change.below.end() ? kWhole : found->second;
    if (what.left && what.below.empty()) continue;
    if (what.away != nullptr) {
      TRY(away(below, name, *what.away));
    } else {
      TRY(remove(below, {name, Kind::none, git_treebuilder_get(raw, name.c_str())}, what));
    }
  }
  if (git_treebuilder_entrycount(raw) == 0) return std::nullopt;
  return TRY(objects_.tree(raw));
}

Status TreeUpdate::away(const Directory& in, const std::string& name, const AwayPath& path) {
  git_oid id{};
  TRY(check(git_oid_fromstr(&id, path.id.c_str()), text::shown(path.path)));
  const auto mode = static_cast<git_filemode_t>(path.mode);
  if (mode != GIT_FILEMODE_COMMIT && !TRY(objects_.may_have(id))) {
    const bool is_told = std::exchange(lacks_objects_, true);
    if (!is_told) {
      log::warning("git: {} stays as it was, and others, perhaps: the repository has no object {}",
                   text::shown(path.path), path.id);
    }
    return ok();
  }
  return insert(in, name, id, mode);
}

Status TreeUpdate::uninhabited(const Directory& in, const Entry& entry) {
  const std::string path = in.path + entry.name;
  if (in.is_away || hides_away()) return ok();
  const git_index_entry* const indexed = asks_index_ ? index_.find(path) : nullptr;
  if (indexed == nullptr || indexed->mode != GIT_FILEMODE_COMMIT) return remove(in, entry, kWhole);
  return away(in, entry.name, {indexed->mode, to_hex(indexed->id), path});
}

}  // namespace agentfs::git
