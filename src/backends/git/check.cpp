// SPDX-License-Identifier: MIT
#include "backends/git/check.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "backends/git/dot_git.h"
#include "backends/git/library.h"
#include "backends/git/objects.h"
#include "base/file.h"
#include "base/text.h"

namespace agentfs {
namespace git {
namespace {

using IteratorHandle = Handle<git_reference_iterator, git_reference_iterator_free>;
using OdbHandle = Handle<git_odb, git_odb_free>;
using NamedHandle = Handle<git_object, git_object_free>;
using ObjectHandle = Handle<git_odb_object, git_odb_object_free>;

Status init_bare(const std::string& path) {
  git_repository_init_options options{};
  options.version = GIT_REPOSITORY_INIT_OPTIONS_VERSION;
  options.flags = GIT_REPOSITORY_INIT_BARE;
  options.initial_head = "main";
  git_repository* raw = nullptr;
  TRY(check(git_repository_init_ext(&raw, path.c_str(), &options), path));
  const RepositoryHandle held(raw);
  return ok();
}

Result<RepositoryHandle> open_bare(const std::string& path) {
  git_repository* raw = nullptr;
  TRY(check(git_repository_open_bare(&raw, path.c_str()), path));
  return RepositoryHandle(raw);
}

// What a ref names, and what lies at the top of its tree. A tag may be of anything; a ref that
// names another one which is not there is an unborn branch.
Status check_ref(git_repository* repository, git_reference* ref) {
  const std::string name = git_reference_name(ref);
  git_oid id{};
  const int resolved = git_reference_name_to_id(&id, repository, name.c_str());
  if (resolved == GIT_ENOTFOUND && git_reference_type(ref) == GIT_REFERENCE_SYMBOLIC) return ok();
  TRY(check(resolved, name));
  git_object* raw = nullptr;
  TRY(check(git_object_lookup(&raw, repository, &id, GIT_OBJECT_ANY),
            fmt::format("{} ({})", name, to_hex(id))));
  const NamedHandle named(raw);
  git_object* tree = nullptr;
  const int peeled = git_object_peel(&tree, raw, GIT_OBJECT_TREE);
  const NamedHandle held(tree);
  if (peeled == GIT_EINVALIDSPEC || peeled == GIT_EPEEL) return ok();  // a tag of a blob
  return check(peeled, fmt::format("{} (tree of {})", name, to_hex(id)));
}

Status check_settings(git_repository* repository) {
  git_reference* head = nullptr;
  TRY(check(git_reference_lookup(&head, repository, "HEAD"), "HEAD"));
  const ReferenceHandle held(head);
  git_config* config = nullptr;
  TRY(check(git_repository_config_snapshot(&config, repository), "config"));
  const ConfigHandle settings(config);
  int is_bare = 0;
  return check(git_config_get_bool(&is_bare, config, "core.bare"), "config");
}

// The files below refs/ that hold no ref, which libgit2's iterator passes by.
void check_loose_refs(git_repository* repository, RepositoryReport& report) {
  namespace fs = std::filesystem;
  const fs::path top = git_repository_path(repository);
  std::error_code error;
  fs::recursive_directory_iterator file(top / "refs", error);
  for (; !error && file != fs::recursive_directory_iterator(); file.increment(error)) {
    std::error_code unknown;
    if (!file->is_regular_file(unknown)) continue;
    const std::string name = file->path().lexically_relative(top).string();
    int is_valid = 0;
    if (git_reference_name_is_valid(&is_valid, name.c_str()) != 0 || is_valid == 0) continue;
    git_reference* ref = nullptr;
    const int found = git_reference_lookup(&ref, repository, name.c_str());
    const ReferenceHandle held(ref);
    if (found >= 0) continue;
    const std::string problem = failure(found, name).error().message;
    auto& problems = report.found.problems;
    if (std::ranges::find(problems, problem) == problems.end()) problems.push_back(problem);
  }
  if (error) report.found.problems.push_back(fmt::format("refs: {}", error.message()));
}

Status check_refs(git_repository* repository, RepositoryReport& report) {
  git_reference_iterator* raw = nullptr;
  TRY(check(git_reference_iterator_new(&raw, repository), "refs"));
  const IteratorHandle iterator(raw);
  std::size_t count = 0;
  for (;;) {
    git_reference* ref = nullptr;
    const int next = git_reference_next(&ref, raw);
    if (next == GIT_ITEROVER) break;
    if (next < 0) {
      report.found.problems.push_back(failure(next, "refs").error().message);
      break;  // which one it was, and where to go on, libgit2 does not say
    }
    const ReferenceHandle held(ref);
    ++count;
    if (Status good = check_ref(repository, ref); !good) {
      report.found.problems.push_back(good.error().message);
      report.lost_refs.emplace_back(git_reference_name(ref));
    }
  }
  check_loose_refs(repository, report);
  report.found.sum = fmt::format("{} refs", count);
  return ok();
}

struct Reading {
  git_odb* odb = nullptr;
  RepositoryReport* report = nullptr;
};

int read_one(const git_oid* id, void* payload) {
  const auto& reading = *static_cast<Reading*>(payload);
  git_odb_object* raw = nullptr;
  const int result = git_odb_read(&raw, reading.odb, id);
  const ObjectHandle object(raw);
  if (result < 0) {
    reading.report->found.problems.push_back(
        failure(result, fmt::format("object {}", to_hex(*id))).error().message);
    return 0;
  }
  ++reading.report->objects;
  reading.report->bytes += git_odb_object_size(raw);
  return 0;
}

Status check_objects(git_repository* repository, RepositoryReport& report) {
  git_odb* odb = nullptr;
  TRY(check(git_repository_odb(&odb, repository), "objects"));
  const OdbHandle held(odb);
  Reading reading{odb, &report};
  return check(git_odb_foreach(odb, read_one, &reading), "objects");
}

// libgit2 would wait for the other end of a FIFO.
Status check_kinds(const std::string& objects) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::recursive_directory_iterator entry(objects, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    std::error_code unknown;
    const fs::file_status its = entry->status(unknown);  // of what a link leads to
    if (!fs::exists(its) || fs::is_regular_file(its) || fs::is_directory(its)) continue;
    return fail(EINVAL, "git: {} is neither a file nor a directory; git makes no such thing there",
                text::shown(entry->path().native()));
  }
  return error ? Status(fail_errno(error.value(), objects)) : ok();
}

}  // namespace
}  // namespace git

Result<RepositoryReport> check_repository(const std::string& path, bool every_object) {
  const git::Library library;
  if (!library.ready()) return git::failure(-1, "libgit2");
  const git::RepositoryHandle repository = TRY(git::open_bare(path));
  RepositoryReport report;
  if (Status good = git::check_settings(repository.get()); !good) {
    report.settings_are_damaged = true;
    report.found.problems.push_back(good.error().message);
  }
  TRY(git::check_refs(repository.get(), report));
  if (every_object) TRY(git::check_objects(repository.get(), report));
  return report;
}

Result<RepositoryReport> check_users_repository(const std::string& path, bool every_object) {
  TRY(git::check_bare(path));
  TRY(git::check_kinds(path + "/objects"));
  return check_repository(path, every_object);
}

Status set_ref_aside(const std::string& path, const std::string& ref, const std::string& kept) {
  const git::Library library;
  if (!library.ready()) return git::failure(-1, "libgit2");
  const git::RepositoryHandle repository = TRY(git::open_bare(path));
  git_reference* raw = nullptr;
  TRY(git::check(git_reference_lookup(&raw, repository.get(), ref.c_str()), ref));
  const git::ReferenceHandle held(raw);
  const git_oid* const id = git_reference_target(raw);
  const char* const target = git_reference_symbolic_target(raw);
  const std::string was = id != nullptr ? git::to_hex(*id) : target != nullptr ? target : "";
  const UniqueFd out(::open(kept.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!out) return fail_errno(kept);
  TRY(file::write_all(out.get(), fmt::format("{} {} {}\n", path, ref, was)));
  if (::fsync(out.get()) != 0) return fail_errno(kept);
  return git::check(git_reference_delete(raw), ref);
}

Status make_settings(const std::string& path) {
  const git::Library library;
  if (!library.ready()) return git::failure(-1, "libgit2");
  return git::init_bare(path);
}

}  // namespace agentfs
