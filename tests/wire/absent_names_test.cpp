// SPDX-License-Identifier: MIT
// What a session lets the host's kernel believe of names that are not there.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/text.h"
#include "catch.h"
#include "support/eventually.h"
#include "wire/served.h"

namespace agentfs::test {
namespace {

struct Tree : Served {
  Tree() {
    const auto data = wire().lookup(FUSE_ROOT_ID, "data");
    REQUIRE(data);
    root = data->nodeid;
  }
  // The names of its top that the host's kernel was told of, and how.
  std::vector<std::string> told() {
    std::vector<std::string> names;
    for (const WireNotification& one : wire().notifications()) {
      if (one.code != FUSE_NOTIFY_INVAL_ENTRY) continue;
      const auto name = wire_struct<fuse_notify_inval_entry_out>(one.body);
      REQUIRE(name);
      CHECK(name->parent == root);
      const std::string text = one.body.substr(sizeof(fuse_notify_inval_entry_out), name->namelen);
      names.push_back(text + (name->flags == 0 ? "" : " is asked for again"));
    }
    return names;
  }

  std::uint64_t root = 0;
};

}  // namespace

TEST_CASE("wire: that a name is not there is believed until something makes it") {
  Tree tree;
  const auto validity_of = [&](std::uint64_t directory, std::string_view name) {
    const auto answer = tree.wire().answer_to_lookup(directory, name);
    return answer && answer->nodeid == 0 ? answer->entry_valid : 0;
  };
  CHECK(validity_of(tree.root, "none") == 3600);
  REQUIRE(tree.files->write(Caller(), "/data/none", "by a tool"));
  REQUIRE(tree.wire().await_notification(FUSE_NOTIFY_INVAL_ENTRY));
  CHECK(tree.told() == std::vector<std::string>{"none"});
  CHECK(tree.wire().lookup(tree.root, "none"));

  // What the daemon makes without a word of it is asked for each time.
  CHECK(validity_of(FUSE_ROOT_ID, "none") == 0);
  CHECK(validity_of(tree.root, ".agentfs") == 0);
  CHECK(validity_of(tree.root, ".agentfs-merge") == 0);
  std::map<std::string, std::uint64_t> at;
  for (const std::string path : {".git", ".git/objects", ".git/objects/pack", ".git/refs",
                                 ".git/refs/heads", ".git/modules"}) {
    const auto [above, name] = std::pair(text::parent_part(path), text::last_part(path));
    const std::uint64_t parent = above.empty() ? tree.root : at.at(std::string(above));
    const auto made = tree.wire().make_directory(parent, name, 0755);
    REQUIRE(made);
    at[path] = made->nodeid;
  }
  CHECK(validity_of(at.at(".git"), "index.lock") == 3600);
  CHECK(validity_of(at.at(".git"), "logs") == 0);
  CHECK(validity_of(at.at(".git/objects"), "ab") == 0);
  CHECK(validity_of(at.at(".git/objects/pack"), "pack-1.idx") == 0);
  CHECK(validity_of(at.at(".git/refs"), "agentfs") == 0);
  CHECK(validity_of(at.at(".git/refs/heads"), "main") == 3600);
  CHECK(validity_of(at.at(".git/modules"), "objects") == 0);
}

TEST_CASE("wire: a directory that has come back is told of by its name, and keeps it") {
  Tree tree;
  REQUIRE(file::make_directories(tree.disk("away/below/deep")));
  REQUIRE(file::make_directories(tree.disk("known")));
  REQUIRE(tree.wire().lookup(tree.root, "known"));
  tree.files->refresh({{TreeEvent::Kind::returned, "/data/away"},
                       {TreeEvent::Kind::returned, "/data/known"},
                       {TreeEvent::Kind::attributes, "/data/known"}});
  REQUIRE(eventually([&] { return tree.told().size() >= 2; }));
  CHECK(tree.told() ==
        std::vector<std::string>{"away is asked for again", "known is asked for again"});
  // Of what lies below a directory that nobody has looked up, that one was missed.
  tree.files->refresh({{TreeEvent::Kind::made, "/data/away/below/deep"}});
  REQUIRE(eventually([&] { return tree.told().size() >= 3; }));
  CHECK(tree.told().back() == "away");
}

TEST_CASE("wire: what has come past the mount under a missed name is opened by who looks again") {
  Tree tree;
  REQUIRE(::symlink("elsewhere", tree.disk("link").c_str()) == 0);
  REQUIRE(::mkfifo(tree.disk("fifo").c_str(), 0600) == 0);
  REQUIRE(file::make_directories(tree.disk("directory")));
  REQUIRE(file::replace(tree.disk("file"), "text"));
  for (const int more : {0, O_TRUNC}) {
    const auto code = [&](std::string_view name) {
      return code_of(tree.wire().create(tree.root, name, O_WRONLY | O_CREAT | more, 0644));
    };
    CHECK(code("link") == ESTALE);
    CHECK(code("fifo") == ESTALE);
    CHECK(code("directory") == EISDIR);
    CHECK(code("file") == 0);
  }
  CHECK_FALSE(file::exists(tree.disk("elsewhere")));
}

}  // namespace agentfs::test
