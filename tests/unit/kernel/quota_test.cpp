// SPDX-License-Identifier: MIT
// Limits as text, and as state: what sets them, what they follow, and that a restart knows them.
#include "catch.h"
#include "kernel/kinds.h"
#include "kernel/quota_keeper.h"
#include "kernel/quota_subject.h"
#include "support/test_kernel.h"

namespace agentfs::test {
namespace {

constexpr Quota kSome{.bytes = 10, .inodes = 20};

json::Value tree_limit(const std::string& path, std::uint64_t bytes, std::uint64_t inodes) {
  return json::Object{{"path", path}, {"bytes", bytes}, {"inodes", inodes}};
}

int code_of(const Result<Quota>& result) { return result ? 0 : result.error().code; }

}  // namespace

TEST_CASE("Limits are read as they are written") {
  for (const Quota& quota : {Quota{}, kSome, Quota{.bytes = 0, .inodes = 3}}) {
    CHECK(parse_quota(show(quota), {}).value() == quota);
  }
  CHECK(parse_quota("bytes=10G inodes=100000", {}).value() ==
        Quota{.bytes = std::uint64_t{10} << 30U, .inodes = 100'000});
  CHECK(parse_quota("bytes = 4KiB\ninodes =3", {}).value() == Quota{.bytes = 4096, .inodes = 3});
  CHECK(parse_quota("bytes 4KiB", kSome).value() == Quota{.bytes = 4096, .inodes = 20});
  CHECK(parse_quota("bytes=2g", kSome).value() == Quota{.bytes = 2U << 30U, .inodes = 20});
  CHECK(parse_quota("# inodes=1\n", kSome).value() == kSome);
  CHECK(parse_quota("unlimited", kSome).value() == Quota{});
  CHECK(parse_quota("inodes=unlimited", kSome).value() == Quota{.bytes = 10, .inodes = 0});
  for (const char* wrong :
       {"bytes", "bytes=", "bytes=-1", "bytes=1.5G", "bytes=9999999P", "files=3", "inodes=1K",
        "bytes=1 inodes", "0", "bytes=0", "inodes=2 inodes=3"}) {
    CAPTURE(wrong);
    CHECK(code_of(parse_quota(wrong, {})) == EINVAL);
  }
}

TEST_CASE("A subject is a tree or a user") {
  CHECK(subject_user(user_subject(1'000)) == 1'000U);
  CHECK_FALSE(subject_user("/workspaces/uid:7"));
  CHECK_FALSE(subject_user("uid:x"));
}

TEST_CASE("Limits follow their tree, and outlive the daemon") {
  TestKernel t;
  const std::string set(kind::kQuotaSet);
  REQUIRE(t.commit(set, tree_limit("/workspaces/a", 10, 20)));
  REQUIRE(t.commit(set, json::Object{{"uid", 1'000}, {"bytes", 5}, {"inodes", 0}}));
  CHECK(t.kernel().quotas() == Quotas{{"/workspaces/a", kSome}, {"uid:1000", {.bytes = 5}}});
  REQUIRE(
      t.commit("tree.fork", json::Object{{"path", "/workspaces/b"}, {"other", "/workspaces/a"}}));
  CHECK(t.kernel().quotas().at("/workspaces/b") == kSome);
  REQUIRE(t.commit("tree.remove", json::Object{{"path", "/workspaces/a/f"}}));
  REQUIRE(
      t.commit("tree.rename", json::Object{{"path", "/workspaces/a"}, {"other", "/workspaces/c"}}));
  CHECK_FALSE(t.kernel().quotas().contains("/workspaces/a"));
  CHECK(t.kernel().quotas().at("/workspaces/c") == kSome);
  REQUIRE(t.commit(set, tree_limit("/workspaces/b", 1, 0)));
  REQUIRE(t.commit(
      "tree.rename",
      json::Object{{"path", "/workspaces/b"}, {"other", "/workspaces/c"}, {"exchange", true}}));
  const Quotas all = t.kernel().quotas();
  CHECK(all.at("/workspaces/b") == kSome);
  CHECK(all.at("/workspaces/c") == Quota{.bytes = 1, .inodes = 0});
  REQUIRE(t.stop_and_start());
  CHECK(t.kernel().quotas() == all);
  REQUIRE(t.commit("tree.discard", json::Object{{"path", "/workspaces/b"}, {"name", "early"}}));
  CHECK(t.kernel().quotas() == all);  // of a checkpoint
  REQUIRE(t.commit("tree.discard", json::Object{{"path", "/workspaces/b"}}));
  REQUIRE(t.commit("tree.remove", json::Object{{"path", "/workspaces/c"}}));
  REQUIRE(t.commit(set, json::Object{{"uid", 1'000}, {"bytes", 0}, {"inodes", 0}}));
  CHECK(t.kernel().quotas().empty());
}

TEST_CASE("A limit of what is neither tree nor user is refused") {
  TestKernel t;
  const std::string set(kind::kQuotaSet);
  CHECK_FALSE(t.commit(set, tree_limit("/workspaces/a/b", 1, 1)));
  CHECK_FALSE(t.commit(set, tree_limit("", 1, 1)));
  CHECK_FALSE(t.commit(set, json::Object{{"uid", 7}, {"bytes", -1}, {"inodes", 0}}));
  CHECK(t.kernel().quotas().empty());
}

}  // namespace agentfs::test
