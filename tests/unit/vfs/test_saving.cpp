// SPDX-License-Identifier: MIT
// How editors and tools save: scratch names and documents.
#include "test_tree.h"

namespace agentfs::vfs {

TEST_CASE("a text renamed onto a control file is executed") {
  TestTree tree;
  TestRequest tool(10);
  TestRequest stranger(20, "s2");
  CHECK(tree.create(tool, "/boxes/7/ctl.tmp.1", "go 3\ngo 4") == 0);
  CHECK(tree.read(tool, "/boxes/7/ctl.tmp.1") == "go 3\ngo 4");
  CHECK(code(tree.find(stranger, "/boxes/7/ctl.tmp.1")) == ENOENT);
  CHECK(tree.names(tool, "/boxes/7").back() == "ctl.tmp.1");
  CHECK(tree.rename(tool, "/boxes/7/ctl.tmp.1", "/boxes/7/ctl") == 0);
  CHECK(world().box()->commands == std::vector<std::string>{"go 3", "go 4"});
  CHECK(code(tree.find(tool, "/boxes/7/ctl.tmp.1")) == ENOENT);

  CHECK(tree.create(tool, "/boxes/7/level.tmp", "many") == 0);
  CHECK(tree.rename(tool, "/boxes/7/level.tmp", "/boxes/7/level") == EINVAL);
  CHECK(tree.read(tool, "/boxes/7/level.tmp") == "many");  // can be mended
  CHECK(tree.save(tool, "/boxes/7/level.tmp", "5") == 0);
  CHECK(tree.rename(tool, "/boxes/7/level.tmp", "/boxes/7/level") == 0);
  CHECK(world().box()->level == "5");

  CHECK(tree.create(tool, "/boxes/7/c", "hello") == 0);
  CHECK(tree.rename(tool, "/boxes/7/c", "/boxes/7/chat") == 0);
  CHECK(world().box()->messages == std::vector<std::string>{"hello"});
  CHECK(tree.create(tool, "/boxes/7/a", "q") == 0);
  CHECK(tree.rename(tool, "/boxes/7/a", "/boxes/7/ask") == 0);
  CHECK(tree.read(tool, "/boxes/7/ask") == "<q>\n");
  CHECK(tree.create(tool, "/boxes/7/s", "x") == 0);
  CHECK(tree.rename(tool, "/boxes/7/s", "/boxes/7/state") == EACCES);
}

TEST_CASE("scratch names are bounded, and go after a minute") {
  TestTree tree;
  TestRequest tool(10);
  for (int i = 0; i < 64; ++i) {
    CHECK(tree.create(tool, fmt::format("/boxes/7/x{}", i), "") == 0);
  }
  CHECK(tree.create(tool, "/boxes/7/one-more", "") == EDQUOT);
  const Found boxes = tree.get(tool, "/boxes/7");
  CHECK(boxes.node->unlink(tool, "x0"));
  CHECK(tree.create(tool, "/boxes/7/large", std::string((1U << 20U) + 1, 'x')) == EMSGSIZE);
  CHECK(code(boxes.node->create(tool, "x1", O_EXCL | O_WRONLY, 0644)) == EEXIST);
  CHECK(code(boxes.node->create(tool, "level", O_EXCL | O_WRONLY, 0644)) == EEXIST);
  tree.services.clock_.advance(61'000'000'000);
  CHECK(code(tree.find(tool, "/boxes/7/x1")) == ENOENT);
  // Where nothing is ever written, what is moved would be lost.
  CHECK(tree.create(tool, "/boxes/precious", "text") == EPERM);
  CHECK(tree.create(tool, "/boxes/7/precious", "text") == 0);
  CHECK(tree.rename(tool, "/boxes/7/precious", "/boxes/precious") == EPERM);
}

TEST_CASE("vim's and emacs' ways of saving work beside control files and in documents") {
  TestTree tree;
  TestRequest vim(10);
  for (const std::string directory : {"/boxes/7", "/boxes/7/conf"}) {
    const bool documents = directory.ends_with("conf");
    const std::string file = directory + (documents ? "/a.toml" : "/level");
    const std::string words = documents ? "y = 2\n" : "4\n";
    CHECK(tree.create(vim, directory + "/4913", "") == 0);
    SetAttributes owner{.which = SetAttributes::uid | SetAttributes::gid};
    CHECK(tree.get(vim, directory + "/4913").node->set_attributes(vim, nullptr, owner));
    CHECK(tree.get(vim, directory).node->unlink(vim, "4913"));
    const std::string name = file.substr(file.rfind('/') + 1);
    CHECK(tree.create(vim, directory + "/." + name + ".swp", "swap") == 0);
    CHECK(tree.rename(vim, file, file + "~") == 0);
    CHECK(tree.read(vim, file) == tree.read(vim, file + "~"));  // still in force
    const auto handle = tree.open(vim, file, O_WRONLY | O_TRUNC);
    CHECK(TestTree::write(vim, *handle, 0, words) == 0);
    CHECK(handle->fsync(vim, false));
    SetAttributes mode{.which = SetAttributes::mode};
    CHECK(tree.get(vim, file).node->set_attributes(vim, handle.get(), mode));
    CHECK(handle->flush(vim));
    handle->release();
    CHECK(tree.read(vim, file) == words);
    CHECK(tree.get(vim, directory).node->unlink(vim, name + "~"));
    const auto lock = tree.get(vim, directory).node->make_link(vim, ".#f", "me@host.1");
    REQUIRE(lock);
    CHECK(*lock->node->read_link(vim) == "me@host.1");
    CHECK(tree.get(vim, directory).node->unlink(vim, ".#f"));
  }
  CHECK(tree.services.errors.empty());
}

TEST_CASE("a document is saved at the opener's close, or refused and left as it was") {
  TestTree tree;
  TestRequest tool(10);
  CHECK(tree.save(tool, "/boxes/7/conf/a.toml", "x = 2\n") == 0);
  CHECK(tree.read(tool, "/boxes/7/conf/a.toml") == "x = 2\n");
  CHECK(tree.save(tool, "/boxes/7/conf/a.toml", "nonsense") == EBADMSG);
  CHECK(tree.read(tool, "/boxes/7/conf/a.toml") == "x = 2\n");
  CHECK(tree.services.errors.size() == 1);

  CHECK(tree.create(tool, "/boxes/7/conf/b.toml", "b = 1\n") == 0);
  CHECK(world().box()->documents.contains("b.toml"));
  CHECK(tree.create(tool, "/boxes/7/conf/c.toml", "nonsense") == EBADMSG);
  CHECK_FALSE(world().box()->documents.contains("c.toml"));

  CHECK(tree.create(tool, "/boxes/7/conf/a.toml.9f3", "x = 3\n") == 0);
  CHECK(tree.rename(tool, "/boxes/7/conf/a.toml.9f3", "/boxes/7/conf/a.toml") == 0);
  CHECK(world().box()->documents["a.toml"] == "x = 3\n");
  CHECK(tree.create(tool, "/boxes/7/conf/.a.tmp", "nonsense") == 0);
  CHECK(tree.rename(tool, "/boxes/7/conf/.a.tmp", "/boxes/7/conf/a.toml") == EBADMSG);
  CHECK(world().box()->documents["a.toml"] == "x = 3\n");

  CHECK(tree.rename(tool, "/boxes/7/conf/b.toml", "/boxes/7/conf/d.toml") == 0);
  CHECK(world().box()->documents.size() == 2);
  CHECK(tree.get(tool, "/boxes/7/conf").node->unlink(tool, "d.toml"));
  CHECK(world().box()->documents.size() == 1);
  CHECK(code(tree.get(tool, "/boxes/7/conf").node->make_directory(tool, "x", 0755)) == EPERM);
}

TEST_CASE("a new document that was refused is not there") {
  TestTree tree;
  TestRequest tool(10);
  const std::string path = "/boxes/7/conf/c.toml";
  CHECK(tree.create(tool, path, "nonsense") == EBADMSG);
  CHECK(tree.services.errors.size() == 1);
  CHECK(code(tree.get(tool, "/boxes/7/conf").node->lookup(tool, "c.toml")) == ENOENT);
  CHECK(tree.create(tool, path, "x = 1\n") == 0);
  CHECK(world().box()->documents["c.toml"] == "x = 1\n");
}

TEST_CASE("a new document is written by one append after the other") {
  TestTree tree;
  TestRequest shell(10);
  const NodeRef conf = tree.get(shell, "/boxes/7/conf").node;
  CHECK(tree.create(shell, "/boxes/7/conf/d.toml", "nonsense, ") == EBADMSG);
  const auto more = conf->create(shell, "d.toml", O_WRONLY | O_CREAT | O_APPEND, 0644);
  REQUIRE(more);
  CHECK(more->found.attributes.st_size == 10);
  CHECK(TestTree::write(shell, *more->opened.handle, 10, "x = 1\n") == 0);
  CHECK(more->opened.handle->flush(shell));
  CHECK(world().box()->documents["d.toml"] == "nonsense, x = 1\n");
}

TEST_CASE("a document is written in place, in pieces, and truncated by path") {
  TestTree tree;
  TestRequest tool(10);
  const auto handle = tree.open(tool, "/boxes/7/conf/a.toml", O_RDWR);
  CHECK(TestTree::write(tool, *handle, 4, "7") == 0);
  CHECK(*TestTree::read(tool, *handle, 0) == "x = 7\n");
  CHECK(handle->flush(tool));
  CHECK(world().box()->documents["a.toml"] == "x = 7\n");
  const Found found = tree.get(tool, "/boxes/7/conf/a.toml");
  SetAttributes size{.which = SetAttributes::size};
  size.values.st_size = 5;
  CHECK(found.node->set_attributes(tool, nullptr, size)->attributes.st_size == 5);
  CHECK(world().box()->documents["a.toml"] == "x = 7");
  size.values.st_size = 0;  // which is no document here
  const NodeRef again = tree.get(tool, "/boxes/7/conf/a.toml").node;
  CHECK(code(again->set_attributes(tool, nullptr, size)) == EBADMSG);
  CHECK(world().box()->documents["a.toml"] == "x = 7");
}

TEST_CASE("a document that is saved again and again is opened at the second try") {
  TestTree tree;
  TestRequest tool(10);
  const std::string path = "/boxes/7/conf/a.toml";
  const Found first = tree.get(tool, path);
  world().box()->documents["a.toml"] = "x = 2\n";
  CHECK(code(first.node->open(tool, O_RDWR)) == ESTALE);
  const Found second = tree.get(tool, path);
  world().box()->documents["a.toml"] = "x = 34\n";
  CHECK(second.validity.attributes == 0);  // its size may be another by the open
  const auto opened = second.node->open(tool, O_RDWR);
  REQUIRE(opened);
  CHECK(*TestTree::read(tool, *opened->handle, 0) == "x = 34\n");
  CHECK(second.node->attributes(tool)->attributes.st_size == 7);
}

TEST_CASE("a document that is cut while what was added to it is saved can be saved again") {
  TestTree tree;
  TestRequest tool(10);
  const Found found = tree.get(tool, "/boxes/7/conf/a.toml");
  const auto handle = tree.open(tool, "/boxes/7/conf/a.toml", O_RDWR | O_APPEND);
  const bool is_beside = GENERATE(false, true);  // another has added to it
  if (is_beside) world().box()->documents["a.toml"] = "x = 1\nw = 0\n";
  SetAttributes size{.which = SetAttributes::size};
  size.values.st_size = 6;
  tree.services.on_record = [&] { REQUIRE(found.node->set_attributes(tool, handle.get(), size)); };
  tool.is_appending = true;
  CHECK(TestTree::write(tool, *handle, 6, "y = 2\n") == 0);
  CHECK(handle->flush(tool));
  tool.is_appending = false;
  CHECK(TestTree::write(tool, *handle, 0, "z") == 0);
  CHECK(code(handle->flush(tool)) == (is_beside ? ESTALE : 0));
  CHECK(world().box()->documents["a.toml"] == (is_beside ? "x = 1\nw = 0\ny = 2\n" : "z = 1\n"));
}

TEST_CASE("documents that cannot be saved are read-only") {
  TestTree tree;
  TestRequest tool(10);
  CHECK(tree.read(tool, "/boxes/7/records/a.toml") == "x = 1\n");
  CHECK((tree.get(tool, "/boxes/7/records/a.toml").attributes.st_mode & 0777U) == 0444);
  CHECK(tree.save(tool, "/boxes/7/records/a.toml", "y = 1\n") == EACCES);
  CHECK(code(tree.get(tool, "/boxes/7/records").node->unlink(tool, "a.toml")) == EPERM);
  CHECK_THAT(tree.read(tool, "/boxes/7/records/README"), Catch::Matchers::has("What was."));
}

}  // namespace agentfs::vfs
