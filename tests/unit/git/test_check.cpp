// SPDX-License-Identifier: MIT
// What fsck finds in a repository of turns, and taking a ref out of it.
#include <sys/stat.h>

#include "backends/git/check.h"
#include "git_fixture.h"

namespace agentfs::test {
namespace {

namespace fs = std::filesystem;

std::string object_file(const std::string& repository, const std::string& id) {
  return fmt::format("{}/objects/{}/{}", repository, id.substr(0, 2), id.substr(2));
}

void flip_last(const std::string& path) {
  fs::permissions(path, fs::perms::owner_write, fs::perm_options::add);
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(-3, std::ios::end);
  const char byte = static_cast<char>(file.get() ^ 1);
  file.seekp(-3, std::ios::end);
  file.put(byte);
}

TEST_CASE("a repository of turns that is damaged can be mended") {
  const GitWorkspace workspace;
  workspace.write("a", "one");
  const std::string first = workspace.commit({"a"});
  auto report = check_repository(workspace.own, true);
  REQUIRE(report);
  CHECK(report->found.whole());
  CHECK(report->objects == 3);
  CHECK(report->bytes > 0);

  const bool is_missing = GENERATE(true, false);
  const std::string file = object_file(workspace.own, first);
  is_missing ? fs::remove(file) : (flip_last(file), true);
  report = check_repository(workspace.own, false);
  REQUIRE(report);
  CHECK_FALSE(report->found.whole());
  REQUIRE(report->lost_refs == std::vector<std::string>{"refs/agentfs/turns/7"});

  const std::string kept = workspace.worktree + "/../kept";
  REQUIRE(set_ref_aside(workspace.own, report->lost_refs.front(), kept));
  CHECK(slurp(kept).find("refs/agentfs/turns/7 " + first) != std::string::npos);
  CHECK(check_repository(workspace.own, false)->found.whole());
  workspace.write("a", "two");
  CHECK_FALSE(workspace.commit({"a"}).empty());
}

TEST_CASE("an object that is not its hash is found where every one is read") {
  const GitWorkspace workspace;
  workspace.write("a", std::string(5000, 'x'));
  workspace.commit({"a"});
  const std::string blob = workspace.sh("git hash-object a").substr(0, 40);
  flip_last(object_file(workspace.own, blob));
  CHECK(check_repository(workspace.own, false)->found.whole());
  const auto report = check_repository(workspace.own, true);
  REQUIRE(report);
  REQUIRE(report->found.problems.size() == 1);
  CHECK_THAT(report->found.problems.front(), Catch::Matchers::has(blob));
}

TEST_CASE("a ref that holds no name of an object is told") {
  const GitWorkspace workspace;
  workspace.write("a", "one");
  workspace.commit({"a"});
  const std::string content = GENERATE(as<std::string>(), "nonsense\n", "", "\x01\x02", "12345\n");
  spit(workspace.own + "/refs/agentfs/turns/7", content);
  const auto report = check_repository(workspace.own, false);
  REQUIRE(report);
  REQUIRE(report->found.problems.size() == 1);
  CHECK_THAT(report->found.problems.front(), Catch::Matchers::has("refs/agentfs/turns/7"));
}

TEST_CASE("damaged settings are told and made anew") {
  const GitWorkspace workspace;
  workspace.write("a", "one");
  workspace.commit({"a"});
  const char* const name = GENERATE("config", "HEAD");
  spit(workspace.own + "/" + name, "nonsense\n");
  const auto report = check_repository(workspace.own, false);
  if (report) CHECK(report->settings_are_damaged);
  for (const char* file : {"config", "HEAD"}) fs::remove(workspace.own + "/" + file);
  REQUIRE(make_settings(workspace.own));
  CHECK(check_repository(workspace.own, false)->found.whole());
  workspace.write("a", "two");
  CHECK_FALSE(workspace.commit({"a"}).empty());
}

TEST_CASE("a repository that users fill is checked with all that refs can name") {
  const GitWorkspace workspace;
  workspace.make_user_repository();
  workspace.sh("git tag -a v2 -m two && git tag blob HEAD:top && git tag tree HEAD^{tree}");
  workspace.sh("git symbolic-ref refs/remotes/origin/HEAD refs/remotes/origin/none");
  const std::string path = workspace.worktree + "/.git";
  const auto whole = check_users_repository(path, true);
  REQUIRE(whole);
  CHECK(whole->found.problems == std::vector<std::string>{});
  const std::string tag = workspace.sh("git rev-parse v2").substr(0, 40);
  fs::remove(object_file(path, tag));
  const auto damaged = check_users_repository(path, false);
  REQUIRE(damaged);
  CHECK(damaged->lost_refs == std::vector<std::string>{"refs/tags/v2"});
}

TEST_CASE("an object that was cut off is told, and not read for ever") {
  const GitWorkspace workspace;
  workspace.make_user_repository();
  const std::string path = workspace.worktree + "/.git";
  const char* const which = GENERATE("HEAD", "HEAD^{tree}", "HEAD:top");
  const std::string object =
      object_file(path, workspace.sh(fmt::format("git rev-parse {}", which)).substr(0, 40));
  fs::permissions(object, fs::perms::owner_write, fs::perm_options::add);
  const auto size = fs::file_size(object);
  for (const auto left : {size / 2, size - 1, std::uintmax_t{2}}) {
    fs::resize_file(object, left);
    const auto damaged = check_users_repository(path, true);
    REQUIRE(damaged);
    CHECK_FALSE(damaged->found.problems.empty());
  }
}

TEST_CASE("a repository that leads elsewhere is not opened") {
  const GitWorkspace workspace;
  workspace.make_user_repository();
  const std::string path = workspace.worktree + "/.git";
  SECTION("by a link") {
    fs::rename(path + "/objects", workspace.worktree + "/elsewhere");
    fs::create_directory_symlink(workspace.worktree + "/elsewhere", path + "/objects");
    CHECK(check_users_repository(path, false).error().code == EINVAL);
  }
  SECTION("by alternates") {
    fs::create_directories(path + "/objects/info");
    spit(path + "/objects/info/alternates", "/elsewhere\n");
    CHECK(check_users_repository(path, false).error().code == EXDEV);
  }
  SECTION("by settings") {
    workspace.sh("git config include.path /elsewhere");
    CHECK(check_users_repository(path, false).error().code == EXDEV);
  }
  SECTION("by a FIFO") {
    fs::remove(path + "/config");
    REQUIRE(::mkfifo((path + "/config").c_str(), 0600) == 0);
    CHECK(check_users_repository(path, false).error().code == EINVAL);
  }
}

TEST_CASE("what git makes no such thing of is told, and not waited for") {
  for (const char* const name : {"objects/0a/ffffffffffffffffffffffffffffffffffffff",
                                 "objects/pack/pack-1.idx", "objects/pack/multi-pack-index"}) {
    CAPTURE(name);
    const GitWorkspace work;
    const std::string path = work.worktree + "/r.git";
    work.sh("git init -q --bare r.git");
    const std::string fifo = fmt::format("{}/{}", path, name);
    std::filesystem::create_directories(std::filesystem::path(fifo).parent_path());
    REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
    const auto refused = check_users_repository(path, true);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message.contains("neither a file nor a directory"));
  }
}

TEST_CASE("what is no repository is an error") {
  CHECK_FALSE(check_repository("/proc/self/fd", false));
}

}  // namespace
}  // namespace agentfs::test
