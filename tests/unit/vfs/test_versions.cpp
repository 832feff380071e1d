// SPDX-License-Identifier: MIT
// Value files: one node a version, exact sizes, snapshots, times.
#include <poll.h>

#include "test_tree.h"

namespace agentfs::vfs {

TEST_CASE("a value's size is exact and its times move with its content only") {
  TestTree tree;
  TestRequest cat(10);
  TestRequest other(11);
  const Found idle = tree.get(cat, "/boxes/7/state");
  CHECK(idle.attributes.st_size == 5);
  CHECK(idle.validity.entry == 0);
  CHECK(idle.validity.attributes > 0);
  CHECK((idle.attributes.st_ino >> 63U) == 1);

  tree.services.clock_.advance(5'000'000'000);
  const Found same = tree.get(other, "/boxes/7/state");
  CHECK(same.node == idle.node);
  CHECK(same.attributes.st_mtim.tv_sec == idle.attributes.st_mtim.tv_sec);

  world().box()->state = "running";
  const Found running = tree.get(other, "/boxes/7/level");
  const Found moved = tree.get(cat, "/boxes/7/state");
  CHECK(moved.node != idle.node);
  CHECK(moved.attributes.st_size == 8);
  CHECK(moved.attributes.st_ino == idle.attributes.st_ino);
  CHECK(moved.attributes.st_mtim.tv_sec == idle.attributes.st_mtim.tv_sec + 5);
}

TEST_CASE("what stat measured is what the open after it reads, within a second and once") {
  TestTree tree;
  TestRequest cat(10);
  TestRequest other(11);
  const Found measured = tree.get(cat, "/boxes/7/state");
  world().box()->state = "running";
  CHECK(tree.get(other, "/boxes/7/state").attributes.st_size == 8);
  CHECK(tree.get(cat, "/boxes/7/state").node == measured.node);
  CHECK(tree.read(cat, "/boxes/7/state") == "idle\n");
  CHECK(tree.read(cat, "/boxes/7/state") == "running\n");

  tree.get(cat, "/boxes/7/state");
  world().box()->state = "dead";
  tree.services.clock_.advance(1'000'000'001);
  CHECK(tree.read(cat, "/boxes/7/state") == "dead\n");
}

TEST_CASE("a process sees what it has just changed, also after a stat") {
  TestTree tree;
  TestRequest python(10);
  CHECK(tree.get(python, "/boxes/7/level").attributes.st_size == 2);
  const auto handle = tree.open(python, "/boxes/7/level", O_WRONLY | O_TRUNC);
  tree.get(python, "/boxes/7/level");
  CHECK(TestTree::write(python, *handle, 0, "250\n") == 0);
  CHECK(tree.read(python, "/boxes/7/level") == "250\n");
}

TEST_CASE("who writes has a version of its own, and others keep theirs and its size") {
  TestTree tree;
  TestRequest cat(10);
  TestRequest shell(11);
  const Found shared = tree.get(cat, "/boxes/7/level");
  REQUIRE(tree.get(shell, "/boxes/7/level").node == shared.node);
  CHECK(code(shared.node->open(shell, O_WRONLY | O_TRUNC)) == ESTALE);
  const Found own = tree.get(shell, "/boxes/7/level");
  CHECK(own.node != shared.node);
  CHECK(own.attributes.st_ino == shared.attributes.st_ino);
  CHECK(own.attributes.st_size == shared.attributes.st_size);
  CHECK(own.node->open(shell, O_WRONLY | O_TRUNC));
  CHECK(tree.get(cat, "/boxes/7/level").node == shared.node);
}

TEST_CASE("a name that leads to one version only is opened for writing all the same") {
  TestTree tree;
  TestRequest shell(10);
  const Found found = tree.get(shell, "/boxes/7/level");
  const auto reader = found.node->open(shell, O_RDONLY);
  REQUIRE(reader);
  CHECK(code(found.node->open(shell, O_WRONLY)) == ESTALE);
  CHECK(found.node->open(shell, O_WRONLY));
  reader->handle->release();
  const Found alone = tree.get(shell, "/boxes/7/level");
  CHECK(alone.node->open(shell, O_WRONLY));
}

TEST_CASE("an open version stays as it was, until its object has gone") {
  TestTree tree;
  TestRequest cat(10);
  const auto handle = tree.open(cat, "/boxes/7/state", O_RDONLY);
  world().box()->state = "running";
  CHECK(*TestTree::read(cat, *handle, 0, 2) == "id");
  CHECK(*TestTree::read(cat, *handle, 2) == "le\n");
  CHECK(TestTree::read(cat, *handle, 5)->empty());
  world().reap("7");
  CHECK(code(TestTree::read(cat, *handle, 0)) == ESRCH);
  CHECK(code(tree.find(cat, "/boxes/7")) == ENOENT);
  CHECK(code(tree.find(cat, "/boxes/7/state")) == ENOENT);
}

TEST_CASE("poll tells of a newer version, and changed() wakes it") {
  TestTree tree;
  TestRequest watcher(10);
  const auto handle = tree.open(watcher, "/boxes/7/state", O_RDONLY);
  std::promise<void> woken;
  const auto first = handle->poll(watcher, [&] { woken.set_value(); });
  REQUIRE(first);
  CHECK((*first & POLLIN) != 0);
  CHECK((*first & POLLPRI) == 0);
  world().box()->state = "running";
  tree.files.changed("/boxes/7/state");
  REQUIRE(woken.get_future().wait_for(std::chrono::seconds(10)) == std::future_status::ready);
  CHECK((*handle->poll(watcher, nullptr) & POLLPRI) != 0);
  handle->release();
}

TEST_CASE("directories list README, rows and objects, and nothing that blocks") {
  TestTree tree;
  TestRequest ls(10);
  using Names = std::vector<std::string>;
  CHECK(tree.names(ls, "/") == Names{".", "..", "README", "all", "boxes"});
  CHECK(tree.names(ls, "/boxes") == Names{".", "..", "README", "self", "7"});
  CHECK(tree.names(ls, "/all") == Names{".", "..", "README", "7"});
  CHECK(tree.names(ls, "/boxes/7") ==
        Names{".", "..", "README", "ask", "chat", "conf", "ctl", "level", "records", "state"});
  CHECK(tree.get(ls, "/").node->attributes(ls)->attributes.st_nlink == 4);
  CHECK(tree.get(ls, "/boxes").attributes.st_nlink == 3);
  CHECK(tree.get(ls, "/boxes/7").attributes.st_nlink == 4);
  CHECK(tree.get(ls, "/boxes/7").node == tree.get(ls, "/boxes/7").node);
  CHECK(*tree.get(ls, "/boxes/self").node->read_link(ls) == "7");
  const std::string readme = tree.read(ls, "/boxes/7/README");
  CHECK_THAT(readme, Catch::Matchers::has("go TIMES: Goes on."));
  CHECK_THAT(readme, Catch::Matchers::has("Not listed."));
  CHECK_THAT(tree.read(ls, "/all/README"), Catch::Matchers::has("<box>/"));
}

TEST_CASE("offsets of a directory go on where a page ended") {
  TestTree tree;
  TestRequest ls(10);
  const auto opened = tree.get(ls, "/boxes/7").node->open_directory(ls);
  std::vector<std::string> names;
  off_t offset = 0;
  for (bool more = true; more;) {
    more = false;
    CHECK(opened->handle->read_directory(ls, offset, [&](const DirectoryItem& item) {
      if (more) return false;
      names.push_back(item.name);
      offset = item.next_offset;
      more = true;
      return true;
    }));
  }
  CHECK(names == tree.names(ls, "/boxes/7"));
}

TEST_CASE("changes of the tables are refused with a sentence") {
  TestTree tree;
  TestRequest shell(10);
  const Found box = tree.get(shell, "/boxes/7");
  CHECK(code(box.node->make_directory(shell, "x", 0755)) == EPERM);
  CHECK(code(box.node->make_directory(shell, "ctl", 0755)) == EEXIST);
  CHECK(code(box.node->unlink(shell, "state")) == EPERM);
  CHECK(code(box.node->unlink(shell, "nothing")) == ENOENT);
  CHECK(code(box.node->remove_directory(shell, "state")) == ENOTDIR);
  CHECK(code(box.node->make_link(shell, "l", "state")) == EPERM);
  CHECK(code(box.node->link(shell, *box.node, "l")) == EPERM);
  CHECK(code(box.node->set_xattr(shell, "user.a", "b", 0)) == ENOTSUP);
  CHECK(code(tree.get(shell, "/boxes/7/state").node->open(shell, O_WRONLY)) == EACCES);
  CHECK(tree.services.errors.size() == 5);
}

TEST_CASE("the dump names every row once") {
  const json::Value dump = FileSystem::dump(test_root());
  std::vector<std::string> paths;
  for (const json::Value& directory : *dump["directories"].array()) {
    paths.emplace_back(directory["path"].text());
  }
  CHECK(paths == std::vector<std::string>{"/", "/all/<box>", "/boxes", "/boxes/<box>"});
  const json::Value& ask = (*(*dump["directories"].array())[3]["files"].array())[0];
  CHECK(json::dump(ask) ==
        R"({"name":"ask","kind":"reply","mode":"0666","private":false,"listed":true,)"
        R"("doc":"Answers.","usage":"a WORD","verbs":[]})");
}

}  // namespace agentfs::vfs
