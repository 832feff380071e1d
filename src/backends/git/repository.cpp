// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <git2/sys/repository.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <string>
#include <vector>

#include "backends/git/changes.h"
#include "backends/git/dot_git.h"
#include "backends/git/forced_paths.h"
#include "backends/git/git.h"
#include "backends/git/gone_paths.h"
#include "backends/git/library.h"
#include "backends/git/objects.h"
#include "backends/git/tree_update.h"
#include "backends/git/worktree.h"
#include "base/log.h"
#include "base/text.h"

namespace agentfs {
namespace {

using git::check;
using git::CommitHandle;
using git::RepositoryHandle;

constexpr const char* kCommitter = "agentfs";
constexpr const char* kAddress = "agentfs@localhost";

Status check_ref(const std::string& name) {
  int valid = 0;
  if (git_reference_name_is_valid(&valid, name.c_str()) == 0 && valid != 0 &&
      name.starts_with("refs/agentfs/")) {
    return ok();
  }
  return fail(EINVAL, "git: {} is no ref of the daemon's; one below refs/agentfs/ is",
              text::shown(name));
}

const std::string& files_of(const TurnCommit& commit) {
  return commit.source.empty() ? commit.worktree : commit.source;
}

// Makes the worktree's ignore rules and attributes count, and its paths the repository's, whatever
// core.worktree says; in memory only.
Status use_worktree(git_repository* repository, const std::string& worktree) {
  std::error_code error;
  const std::string canonical = std::filesystem::canonical(worktree, error);
  if (error) return fail_errno(error.value(), worktree);
  const char* const current = git_repository_workdir(repository);
  // libgit2 1.5 leaks the path where it is the current one already.
  if (current != nullptr && current == canonical + "/") return ok();
  return check(git_repository_set_workdir(repository, canonical.c_str(), 0), worktree);
}

// Rules are read where they lie, as they were at the commit's moment: the user's index, some
// 10,000s of entries, would be looked through for those of attributes that are gone.
Status use_no_index(git_repository* repository) {
  git_index* raw = nullptr;
  TRY(check(git_index_new(&raw), "index"));
  const git::IndexHandle index(raw);
  return check(git_repository_set_index(repository, raw), "index");
}

// A lock is held for milliseconds, or seconds by who moves very many refs: one from before `since`,
// or of a minute ago, was left by somebody who was killed.
constexpr std::time_t kLockSeconds = 60;
constexpr std::time_t kPatience = 4;

bool is_left_over(const std::string& lock, std::time_t since) {
  struct stat attributes{};
  if (::stat(lock.c_str(), &attributes) != 0) return false;
  return attributes.st_mtime < since || attributes.st_mtime < std::time(nullptr) - kLockSeconds;
}

// What libgit2 gives, asked again while another holds one of the locks.
template <class Attempt>
int past_locks(const std::vector<std::string>& locks, std::time_t since, Attempt&& attempt) {
  constexpr useconds_t kPause = 20'000;
  const std::time_t until = std::time(nullptr) + kPatience;
  int result = attempt();
  while (result == GIT_ELOCKED && std::time(nullptr) < until) {
    const auto left = std::ranges::find_if(
        locks, [&](const std::string& lock) { return is_left_over(lock, since); });
    if (left != locks.end()) {
      log::warning("{}: left by a program that was killed; removed", *left);
      ::unlink(left->c_str());
    } else {
      ::usleep(kPause);
    }
    result = attempt();
  }
  return result;
}

Result<RepositoryHandle> open_own(const TurnCommit& commit, std::time_t since) {
  git_repository* raw = nullptr;
  int result = git_repository_open_bare(&raw, commit.git_directory.c_str());
  if (result == GIT_ENOTFOUND) {
    git_repository_init_options options{};
    options.version = GIT_REPOSITORY_INIT_OPTIONS_VERSION;
    options.flags = GIT_REPOSITORY_INIT_BARE | GIT_REPOSITORY_INIT_MKPATH;
    options.initial_head = "main";
    const std::string& path = commit.git_directory;
    result = past_locks({path + "/config.lock", path + "/HEAD.lock"}, since,
                        [&] { return git_repository_init_ext(&raw, path.c_str(), &options); });
  }
  TRY(check(result, commit.git_directory));
  RepositoryHandle repository(raw);
  TRY(use_worktree(raw, files_of(commit)));
  TRY(use_no_index(raw));
  return repository;
}

Result<RepositoryHandle> open_for(const TurnCommit& commit, std::time_t since) {
  if (!TRY(git::has_own_git(commit.worktree, commit.ref))) return open_own(commit, since);
  git_repository* raw = nullptr;
  const int result = git_repository_open_ext(&raw, commit.worktree.c_str(),
                                             GIT_REPOSITORY_OPEN_NO_SEARCH, nullptr);
  if (result < 0) {
    log::warning("{}; what has changed is recorded in {}",
                 git::failure(result, commit.worktree + "/.git").error().message,
                 commit.git_directory);
    return open_own(commit, since);
  }
  RepositoryHandle repository(raw);
  TRY(use_worktree(raw, files_of(commit)));
  TRY(use_no_index(raw));
  return repository;
}

// The commit that this one builds on; none in a repository without any.
struct Base {
  CommitHandle commit;
  bool of_ref = false;
};

Result<Base> find_parent(git_repository* repository, const TurnCommit& commit) {
  git_oid id{};
  TRY(check(git_oid_fromstr(&id, commit.parent.c_str()), commit.ref));
  git_commit* found = nullptr;
  const int result = git_commit_lookup(&found, repository, &id);
  if (result == GIT_ENOTFOUND) {
    return fail(ESTALE, "git: {}, which {} builds on, is not in the repository any more",
                commit.parent, commit.ref);
  }
  TRY(check(result, commit.ref));
  Base base;
  base.commit.reset(found);
  return base;
}

Result<Base> find_base(git_repository* repository, const TurnCommit& next) {
  if (!next.parent.empty()) return find_parent(repository, next);
  const std::string& ref = next.ref;
  Base base;
  git_oid id{};
  int result = next.always ? GIT_ENOTFOUND : git_reference_name_to_id(&id, repository, ref.c_str());
  base.of_ref = result == 0;
  if (result == GIT_ENOTFOUND) result = git_reference_name_to_id(&id, repository, "HEAD");
  if (result == GIT_ENOTFOUND) return base;
  TRY(check(result, ref));
  git_commit* commit = nullptr;
  TRY(check(git_commit_lookup(&commit, repository, &id), ref));
  base.commit.reset(commit);
  return base;
}

Result<git::TreeHandle> tree_of(const Base& base) {
  git_tree* tree = nullptr;
  if (base.commit) TRY(check(git_commit_tree(&tree, base.commit.get()), "tree"));
  return git::TreeHandle(tree);
}

// git's header has one line a person, with <> around the address.
std::string person(std::string_view name) {
  std::string clean = text::to_utf8(name);
  std::ranges::replace_if(
      clean, [](char c) { return c == '<' || c == '>' || static_cast<unsigned char>(c) < ' '; },
      ' ');
  const std::string_view trimmed = text::trim(clean);
  return trimmed.find_first_not_of(".,:;\"' ") == trimmed.npos ? kCommitter : std::string(trimmed);
}

Result<git::SignatureHandle> signature(const std::string& name, std::int64_t seconds) {
  git_signature* raw = nullptr;
  TRY(check(git_signature_new(&raw, name.c_str(), kAddress, seconds, 0), text::shown(name)));
  return git::SignatureHandle(raw);
}

std::string message_of(const TurnCommit& commit) {
  std::string message = text::to_utf8(commit.message);
  std::ranges::replace(message, '\0', ' ');
  if (!message.ends_with('\n')) message += '\n';
  return message;
}

Result<git_oid> write_commit(git_repository* repository, const TurnCommit& commit,
                             const git_oid& tree_id, const git_commit* parent) {
  const auto author = TRY(signature(person(commit.author), commit.seconds));
  const auto committer = TRY(signature(kCommitter, commit.seconds));
  git_tree* raw = nullptr;
  TRY(check(git_tree_lookup(&raw, repository, &tree_id), "tree"));
  const git::TreeHandle tree(raw);
  git_oid id{};
  // Not git_commit_create: the type of its parents differs between the versions of libgit2.
  TRY(check(
      git_commit_create_v(&id, repository, nullptr, author.get(), committer.get(), nullptr,
                          message_of(commit).c_str(), raw, parent != nullptr ? 1u : 0u, parent),
      commit.ref));
  return id;
}

Status check_unmoved(git_repository* repository, const std::string& ref, const Base& base) {
  git_oid current{};
  const int found = git_reference_name_to_id(&current, repository, ref.c_str());
  if (found != GIT_ENOTFOUND) TRY(check(found, ref));
  const bool moved = base.of_ref != (found == 0) ||
                     (base.of_ref && !git_oid_equal(&current, git_commit_id(base.commit.get())));
  if (!moved) return ok();
  return fail(ESTALE, "git: another program moved {} meanwhile; try again", ref);
}

// Moves the ref from the base it was read as; another writer in between is an error.
Status move_ref(git_repository* repository, const TurnCommit& commit, const Base& base,
                const git_oid& id, std::time_t since) {
  git_transaction* raw = nullptr;
  TRY(check(git_transaction_new(&raw, repository), commit.ref));
  const git::TransactionHandle transaction(raw);
  const std::string lock = git_repository_commondir(repository) + commit.ref + ".lock";
  TRY(check(
      past_locks({lock}, since, [&] { return git_transaction_lock_ref(raw, commit.ref.c_str()); }),
      commit.ref));
  if (!commit.always) TRY(check_unmoved(repository, commit.ref, base));
  const auto committer = TRY(signature(kCommitter, commit.seconds));
  TRY(check(git_transaction_set_target(raw, commit.ref.c_str(), &id, committer.get(), "agentfs"),
            commit.ref));
  return check(git_transaction_commit(raw), commit.ref);
}

// The empty tree, for a turn that removed everything.
Result<git_oid> empty_tree(git_repository* repository, git::ObjectWriter& objects) {
  git_treebuilder* raw = nullptr;
  TRY(check(git_treebuilder_new(&raw, repository, nullptr), "tree"));
  const git::BuilderHandle builder(raw);
  return objects.tree(raw);
}

class GitRepository final : public Repository {
 public:
  explicit GitRepository(std::time_t locks_from) : locks_from_(locks_from) {}
  bool ready() const { return library_.ready(); }
  Result<std::string> commit(const TurnCommit& commit) override;

 private:
  git::Library library_;
  const std::time_t locks_from_;
};

Result<std::string> GitRepository::commit(const TurnCommit& commit) {
  TRY(check_ref(commit.ref));
  git::Change changes = TRY(git::changes_of(commit));
  const bool is_told =
      changes.whole || !changes.below.empty() || commit.drops_absent || commit.adds_tracked;
  if (!is_told && !commit.always) return std::string();
  if (TRY(git::kind_of(AT_FDCWD, commit.worktree)) != git::Kind::directory) {
    return fail(ENOENT, "git: no worktree {}", commit.worktree);
  }
  const RepositoryHandle repository = TRY(open_for(commit, locks_from_));
  const Base base = TRY(find_base(repository.get(), commit));
  const git::TreeHandle base_tree = TRY(tree_of(base));
  git::UserIndex index(repository.get());
  git::ObjectWriter objects(repository.get(), index);
  const git::Owner owner = TRY(git::Owner::of(git_repository_commondir(repository.get())));
  if (commit.drops_absent && base_tree) {
    TRY(git::add_gone_paths(repository.get(), base_tree.get(), commit.worktree, changes));
  }
  if (commit.adds_tracked) {
    TRY(git::add_forced_paths(repository.get(), base_tree.get(), commit.worktree, index, changes));
  }
  git::TreeUpdate update(repository.get(), objects, index, owner,
                         {.is_theirs = commit.source.empty(), .asks_index = commit.asks_index});
  const auto updated = TRY(update.run(files_of(commit), base_tree.get(), changes));
  if (!updated && !base_tree && !commit.always) return std::string();
  const git_oid tree = updated ? *updated : TRY(empty_tree(repository.get(), objects));
  const bool is_same = base_tree && git_oid_equal(&tree, git_tree_id(base_tree.get())) != 0;
  if (is_same && !commit.always) return std::string();
  const git_oid id = TRY(write_commit(repository.get(), commit, tree, base.commit.get()));
  objects.note(id);
  TRY(objects.sync(owner));
  TRY(move_ref(repository.get(), commit, base, id, locks_from_));
  TRY(git::sync_ref(repository.get(), commit.ref, owner));
  return git::to_hex(id);
}

}  // namespace

Result<std::unique_ptr<Repository>> open_git(std::time_t locks_from) {
  auto repository = std::make_unique<GitRepository>(locks_from);
  if (!repository->ready()) return git::failure(-1, "libgit2");
  return repository;
}

}  // namespace agentfs
