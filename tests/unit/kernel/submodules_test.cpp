// SPDX-License-Identifier: MIT
// Of what lies below a .git, which commit a repository has is a change of the workspace.
#include "kernel/submodules.h"

#include "catch.h"

namespace agentfs::test {
namespace {

TEST_CASE("A change below a .git is noted where it tells a commit") {
  CHECK(noted_change("src/main.c") == "src/main.c");
  CHECK(noted_change("") == "");
  CHECK(noted_change("a/.github/x") == "a/.github/x");
  for (const char* path :
       {".git", ".git/HEAD", ".git/refs/heads/main", ".git/index.lock", ".git/modules/sub/index",
        ".git/modules/sub/objects/ab/cd", ".git/modules/sub/logs/HEADS", ".git/info/x",
        "a/.git/index", "a/.git/logs/HEAD", "a/.git/objects/refs/x"}) {
    INFO(path);
    CHECK(noted_change(path) == "");
  }
  CHECK(noted_change(".git/info/exclude") == ".gitignore");
  CHECK(noted_change(".git/info/attributes") == ".gitattributes");
  CHECK(noted_change(".git/index") == kIndex);
  for (const char* path :
       {"a/b/.git", "a/b/.git/HEAD", "a/b/.git/packed-refs", "a/b/.git/refs/heads/x.lock"}) {
    CHECK(noted_change(path) == "a/b/.git");
  }
  for (const char* path : {".git/modules/sub/HEAD", ".git/modules/a/modules/b/packed-refs",
                           ".git/modules/sub/refs/heads/main"}) {
    CHECK(noted_change(path) == kSubmodules);
  }
}

TEST_CASE("The paths of submodules are read as git writes them") {
  const std::string text =
      "[submodule \"one\"]\n\tpath = one\n\turl = ../one\n"
      "[submodule \"x\"]\n  path=\"with # and \\\"quotes\\\"\" ; note\n"
      "[submodule \"out\"]\n\tpath = ../out\n"
      "[submodule \"abs\"]\n\tpath = /etc\n"
      "[submodule \"git\"]\n\tpath = a/.git\n"
      "[submodule \"key\"]\n\tPath = upper\n"
      " [submodule \"line\"] path = in/line\n"
      "[submodule \"none\"]\n\tpath =\n\tpathological = p\n";
  CHECK(submodules_in(text) ==
        std::vector<std::string>{"one", "with # and \"quotes\"", "upper", "in/line"});
}

}  // namespace
}  // namespace agentfs::test
