// SPDX-License-Identifier: MIT
// Three trees on the disk, described, edited, compared and merged.
#pragma once

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "backends/compare/comparing.h"
#include "backends/trees/trees.h"
#include "catch.h"
#include "support/must.h"
#include "support/temporary.h"

namespace agentfs::test {

struct Ran {
  int status = 0;
  std::string output{};
};

// As a shell runs it, with nobody's git settings and no repository above.
inline Ran run_in(const std::string& directory, const std::string& command) {
  const std::string line = fmt::format(
      "cd '{}' && export HOME=/nonexistent GIT_CONFIG_NOSYSTEM=1 "
      "GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a "
      "GIT_CEILING_DIRECTORIES=$(dirname \"$(pwd -P)\") && {{ {}\n}} 2>&1",
      directory, command);
  FILE* const pipe = ::popen(line.c_str(), "r");
  REQUIRE(pipe != nullptr);
  Ran ran;
  std::array<char, 4096> chunk{};
  while (const std::size_t got = std::fread(chunk.data(), 1, chunk.size(), pipe)) {
    ran.output.append(chunk.data(), got);
  }
  ran.status = WEXITSTATUS(::pclose(pipe));
  return ran;
}

// What a tree holds, a line each. For git: directories only by what is in them, of permissions the
// executable bit. For us: all of them; `inodes`: also which file it is.
struct Described {
  bool for_git = true;
  bool inodes = false;
};

inline constexpr Described kExactly{.for_git = false, .inodes = true};
std::vector<std::string> describe(const std::string& directory, Described how = {});
std::vector<std::string> without(std::vector<std::string> described, const std::string& path);

// The directories base, ours, theirs, and what leads from one to the other.
class ThreeTrees {
 public:
  ThreeTrees();

  std::string path(const std::string& tree, const std::string& below = "") const {
    return directory_.path(tree) + (below.empty() ? "" : "/" + below);
  }
  const TemporaryDirectory& directory() const { return directory_; }
  std::string sh(const std::string& command) const;  // beside the three
  void write(const std::string& tree, const std::string& below, std::string_view bytes) const {
    spit(path(tree, below), bytes);
  }
  // Makes ours and theirs copies of base.
  void fork() const { sh("rm -rf ours theirs && cp -a base ours && cp -a base theirs"); }

  TreeSide side(const std::string& tree);
  MergeSides sides() {
    return {.base = side("base"), .ours = side("ours"), .theirs = side("theirs")};
  }

  std::vector<PathChange> changes(const CompareOptions& options = {});
  std::string status(const CompareOptions& options = {});
  std::string diff(const CompareOptions& options = {});
  MergePlan plan(const CompareOptions& options = {}) {
    return must(merger->plan(sides(), options));
  }
  // Stages, applies and finishes.
  Status merge(bool partial = false);
  // "reason path" of each conflict, a line each.
  std::string conflicts() { return conflicts(plan(how)); }
  static std::string conflicts(const MergePlan& plan);
  // The diff applied by git to a copy of base makes theirs.
  void check_patch();

  CompareOptions how{};      // of merge() and conflicts()
  bool file_handles = true;  // as of TreeOptions, of stores opened from now on
  const std::unique_ptr<TreeComparer> comparer = open_comparer();
  const std::unique_ptr<TreeMerger> merger = open_merger();

 private:
  TemporaryDirectory directory_;
  std::map<std::string, std::unique_ptr<TreeStore>> stores_;
};

// Random trees and edits of them.
class Editor {
 public:
  Editor(unsigned seed, bool odd_names) : random_(seed), odd_names_(odd_names) {}
  void fill(const std::string& root, int files);
  void edit(const std::string& root, int times);
  void fill_beside(const std::string& root, int files);  // in directories that have files
  // One, to where nothing is. False: there is none.
  bool rename_directory(const std::string& root);

 private:
  int pick(int below) { return std::uniform_int_distribution(0, below - 1)(random_); }
  std::string name();
  std::string bytes();
  std::string fresh_path(const std::string& root);
  std::string any_file(const std::string& root);
  void edit_one(const std::string& root);
  void rewrite(const std::string& path);

  std::mt19937 random_;
  bool odd_names_;
  int serial_ = 0;
};

// AGENTFS_SEEDS, how many random cases of a kind are tried.
int seeds(int otherwise);

}  // namespace agentfs::test
