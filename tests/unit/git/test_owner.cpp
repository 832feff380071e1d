// SPDX-License-Identifier: MIT
// Whose what a commit makes is, and who reads it there.
#include "git_fixture.h"

namespace agentfs::test {

TEST_CASE("what others may not read is not theirs to read as an object", "[commit]") {
  GitWorkspace work;
  work.make_user_repository();
  work.write("closed", "closed bytes");
  work.write("open", "open bytes");
  work.write("private/below", "bytes below");
  work.write("of_group", "bytes of the group");
  work.sh(
      "chmod 600 closed && chmod 640 of_group && chmod 644 open private/below && "
      "chmod 700 private && ln -s /a/secret/target private/link");
  work.commit({"closed", "of_group", "open", "private"});
  const auto mode_of = [&](const std::string& path) {
    const std::string id = work.sh(fmt::format("git rev-parse refs/agentfs/turns/7:{}", path));
    return work.sh(fmt::format("stat -c %a .git/objects/{}/{}", id.substr(0, 2), id.substr(2)));
  };
  CHECK(mode_of("closed") == "400\n");
  CHECK(mode_of("open") == "444\n");
  CHECK(mode_of("of_group") == "440\n");
  CHECK(mode_of("private/below") == "400\n");
  CHECK(mode_of("private/link") == "400\n");
  CHECK(mode_of("private") == "400\n");
  work.check_fsck();
}

TEST_CASE("what root's daemon makes in somebody's repository is theirs, and so is what it reads",
          "[commit]") {
  if (::geteuid() != 0) {
    WARN("SKIPPED: only root commits for others");
    return;
  }
  GitWorkspace work;
  work.make_user_repository();
  work.sh("chown -R 54321:54322 .");
  work.write("roots", "root's bytes");
  work.write("of_all", "bytes of all");
  work.write("roots_too/file", "bytes below");
  work.sh("chmod 600 roots && chmod 644 of_all && chmod 700 roots_too && chown -R 54321 .git");
  work.commit({"roots", "of_all", "roots_too"});
  CHECK(work.sh("find .git ! -uid 54321 -o ! -gid 54322").empty());
  const std::string names =
      work.sh("git -c safe.directory='*' ls-tree -r --name-only refs/agentfs/turns/7");
  CHECK(names.contains("of_all"));
  CHECK_FALSE(names.contains("roots"));
}

}  // namespace agentfs::test
