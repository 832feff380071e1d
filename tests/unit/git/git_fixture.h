// SPDX-License-Identifier: MIT
// A user's worktree, handled with the git program, and turns committed beside it.
#pragma once

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "backends/git/git.h"
#include "catch.h"
#include "support/temporary.h"

namespace agentfs::test {

class GitWorkspace {
  TemporaryDirectory directory_;  // before what is named after it

 public:
  const std::string worktree = directory_.path("work");
  const std::string own = directory_.path("git/7.git");

  GitWorkspace() {
    std::filesystem::create_directories(worktree);
    // Neither git nor libgit2 sees the settings of whoever runs the test.
    ::setenv("HOME", directory_.path().c_str(), 1);
    ::setenv("GIT_CONFIG_NOSYSTEM", "1", 1);
    ::unsetenv("XDG_CONFIG_HOME");
    spit(directory_.path(".gitconfig"),
         "[user]\n name = User\n email = user@example.org\n[init]\n defaultBranch = main\n[core]\n "
         "fsync = none\n"
         "[protocol \"file\"]\n allow = always\n[advice]\n addEmbeddedRepo = false\n");
    repository_ = open_git().value();
  }

  // Output of a shell command in the worktree; the test fails where the command does.
  std::string sh(const std::string& command) const {
    const std::string line = "cd '" + worktree + "' && { " + command + "\n} 2>&1";
    FILE* const pipe = ::popen(line.c_str(), "r");
    REQUIRE(pipe != nullptr);
    std::string output;
    std::array<char, 4096> chunk{};
    while (const std::size_t got = std::fread(chunk.data(), 1, chunk.size(), pipe)) {
      output.append(chunk.data(), got);
    }
    const int status = ::pclose(pipe);
    INFO(command << "\n" << output);
    REQUIRE(status == 0);
    return output;
  }

  void write(const std::string& path, std::string_view bytes) const {
    spit(worktree + "/" + path, bytes);
  }

  // A repository with a committed tree, a staged change, an unstaged one, a branch and a stash.
  void make_user_repository() const {
    sh("git init -q . && mkdir -p src docs && printf 'int main;' > src/main.c &&"
       "printf 'read me' > docs/README && printf 'top' > top && git add -A &&"
       "git commit -qm first && git branch other && printf 'stashed' > top && git stash -q &&"
       "printf 'staged' > staged && git add staged && printf 'more' >> top && git tag v1");
  }

  TurnCommit turn(std::vector<std::string> changed) const {
    return {.worktree = worktree,
            .git_directory = own,
            .ref = "refs/agentfs/turns/7",
            .changed = std::move(changed),
            .message = "Turn 1: do it",
            .author = "fixer (pid 7)",
            .seconds = 1'700'000'000};
  }
  Result<std::string> try_commit(std::vector<std::string> changed) const {
    return repository_->commit(turn(std::move(changed)));
  }
  std::string commit(std::vector<std::string> changed) const {
    const auto id = try_commit(std::move(changed));
    INFO((id ? "" : id.error().message));
    REQUIRE(id);
    return *id;
  }
  Repository& repository() const { return *repository_; }

  // Whatever of the user's a turn must not touch.
  std::string users_state() const {
    return sh(
        "cat .git/HEAD; git for-each-ref | grep -v refs/agentfs; git stash list;"
        "git reflog; sha256sum .git/index .git/config; git status --porcelain=v2 --branch;"
        "ls -A .git .");
  }
  // The tree that `git add -A` would make on top of `base` in an index of its own.
  std::string tree_by_git(const std::string& base = "HEAD") const {
    const std::string index = "GIT_INDEX_FILE='" + directory_.path("index") + "' ";
    return sh("rm -f '" + directory_.path("index") + "'; " + index + "git read-tree " + base +
              "; " + index + "git add -A . 2>/dev/null; " + index + "git write-tree");
  }
  std::string tree_of_turn() const { return sh("git rev-parse 'refs/agentfs/turns/7^{tree}'"); }
  std::string listing() const { return sh("git ls-tree -r --name-only refs/agentfs/turns/7"); }
  void check_fsck() const { CHECK(sh(kFsck).empty()); }
  // "notice" is what it says of a HEAD without a commit.
  static constexpr const char* kFsck =
      "git fsck --strict --no-dangling 2>&1 | grep -v ^notice: || true";

 private:
  std::unique_ptr<Repository> repository_;
};

}  // namespace agentfs::test
