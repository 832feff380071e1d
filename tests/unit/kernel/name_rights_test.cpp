// SPDX-License-Identifier: MIT
// Who may name what in the directories of a tree.
#include "kernel/name_rights.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "catch.h"
#include "kernel/forks.h"
#include "support/must.h"
#include "support/test_kernel.h"

namespace agentfs::test {
namespace {

constexpr uid_t kUser = 1'201;
constexpr uid_t kAnother = 1'202;

// A workspace of the user's in which a test makes directories of given owners and modes.
struct OwnedSpace : TestKernel {
  OwnedSpace() { give("", kUser, 0755); }
  void give(const std::string& path, uid_t owner, mode_t mode) {
    const std::string there = state() + "/trees" + kSite + "/" + path;
    must(file::make_directories(there));
    REQUIRE(::chown(there.c_str(), owner, owner) == 0);
    REQUIRE(::chmod(there.c_str(), mode) == 0);
  }
  NameRights rights() {
    Forest& forest = *must(kernel().forks().forest_of(kSite));
    return {kernel(), person(kUser), forest, must(forest.tree("site")).node};
  }
};

int code_of_status(const Status& status) { return status ? 0 : status.error().code; }

bool is_run_by_root() {
  if (::geteuid() == 0) return true;
  WARN("SKIPPED: nobody but root makes directories of others");
  return false;
}

}  // namespace

TEST_CASE("who owns a directory may change the names in it, whatever its mode says") {
  if (!is_run_by_root()) return;
  OwnedSpace t;
  t.give("closed", kUser, 0555);
  t.give("closed/deep", kUser, 0);
  t.give("shut", kUser, 0);
  t.give("shut/open", kAnother, 0777);
  NameRights rights = t.rights();
  for (const char* path : {"new", "closed/new", "closed/deep/new", "shut/open/new"}) {
    CAPTURE(path);
    CHECK(code_of_status(rights.may_change(path)) == 0);
    CHECK(code_of_status(rights.may_reach(path)) == 0);
  }
}

TEST_CASE("a directory of another's counts by its mode, and one that is not there not at all") {
  if (!is_run_by_root()) return;
  OwnedSpace t;
  t.give("theirs", kAnother, 0755);
  t.give("shut", kAnother, 0700);
  t.give("shut/own", kUser, 0777);
  t.give("open", kAnother, 0777);
  NameRights rights = t.rights();
  CHECK(code_of_status(rights.may_change("open/new")) == 0);
  CHECK(code_of_status(rights.may_change("missing/deep/new")) == 0);
  CHECK(code_of_status(rights.may_change("theirs/new")) == EACCES);
  CHECK(code_of_status(rights.may_reach("theirs/new")) == 0);
  CHECK(code_of_status(rights.may_change("shut/own/new")) == EACCES);
  CHECK(code_of_status(rights.may_reach("shut/own/new")) == EACCES);
}

TEST_CASE("a directory that the disk does not give is no right") {
  if (!is_run_by_root()) return;
  OwnedSpace t;
  NameRights rights = t.rights();
  const std::string refused = std::string(300, 'n') + "/new";  // any error of the disk would do
  CHECK(code_of_status(rights.may_change(refused)) == ENAMETOOLONG);
  CHECK(code_of_status(rights.may_reach(refused)) == ENAMETOOLONG);
}

}  // namespace agentfs::test
