// SPDX-License-Identifier: MIT
// Data trees through the protocol: what POSIX promises, and a journal row for each change.
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/file.h"
#include "catch.h"
#include "wire/served.h"

namespace agentfs::test {
namespace {

using Rows = std::vector<ChangeRow>;

struct DataTree : Served {
  DataTree() {
    const auto entry = wire().lookup(1, "data");
    REQUIRE(code_of(entry) == 0);
    root = entry->nodeid;
  }
  WireKernel::Place create(std::string_view name, int flags = O_RDWR | O_CREAT | O_EXCL) {
    const auto made = wire().create(root, name, flags, 0640);
    REQUIRE(code_of(made) == 0);
    return {.node = made->first.nodeid, .handle = made->second.fh, .offset = 0, .flags = flags};
  }
  void put(std::string_view name, std::string_view text) {
    REQUIRE(file::replace(disk(name), text));
  }
  std::string get(std::string_view name) { return file::read(disk(name)).value_or("(none)"); }

  std::uint64_t root = 0;
};

WireKernel::Place at(WireKernel::Place place, std::uint64_t offset) {
  place.offset = offset;
  return place;
}

}  // namespace

TEST_CASE("wire: a file of a tree is made, written, closed, and told") {
  DataTree tree;
  const auto place = tree.create("new.txt");
  CHECK(tree.services.take_changes() == Rows{{"create", "/data/new.txt"}});
  CHECK(tree.wire().write(place, "hello ").value_or(0) == 6);
  CHECK(tree.wire().write(at(place, 6), "world\n").value_or(0) == 6);
  CHECK(tree.wire().read(place).value_or("") == "hello world\n");
  CHECK(tree.services.take_changes().empty());
  REQUIRE(tree.wire().flush(place));
  CHECK(tree.services.take_changes() == Rows{{"write", "/data/new.txt", 12}});
  REQUIRE(tree.wire().flush(place));
  REQUIRE(tree.wire().release(place));
  CHECK(tree.services.take_changes().empty());
  CHECK(tree.get("new.txt") == "hello world\n");
  CHECK(tree.wire().attributes(place.node)->attr.size == 12);
  for (const pid_t author : tree.services.authors()) CHECK(author == ::getpid());
}

TEST_CASE("wire: bytes written after the last close are told at release") {
  DataTree tree;
  const auto place = tree.create("mapped");
  REQUIRE(tree.wire().flush(place));
  tree.services.take_changes();
  tree.wire().caller.pid = 0;  // as writeback comes
  REQUIRE(tree.wire().write(place, "mapped bytes"));
  REQUIRE(tree.wire().release(place));
  CHECK(tree.services.take_changes() == Rows{{"write", "/data/mapped", 12}});
  CHECK(tree.services.authors().back() == ::getpid());
}

TEST_CASE("wire: what comes by a descriptor that was passed on is of who writes") {
  const pid_t other = ::fork();
  if (other == 0) {
    for (;;) ::pause();
  }
  REQUIRE(other > 0);
  {
    DataTree tree;
    tree.services.make_agent(other, ProcessId{7});
    const auto place = tree.create("passed");
    const pid_t self = tree.wire().caller.pid;
    tree.services.take_changes();
    REQUIRE(tree.wire().write(place, "mine"));
    tree.wire().caller.pid = other;
    REQUIRE(tree.wire().write(at(place, 4), "theirs"));
    CHECK(tree.services.take_changes() == Rows{{"write", "/data/passed", 4}});
    CHECK(tree.services.authors().back() == self);
    REQUIRE(tree.wire().write(at(place, 10), "!"));
    tree.wire().caller.pid = 0;  // as writeback comes: of who wrote last
    REQUIRE(tree.wire().write(at(place, 11), "?"));
    tree.wire().caller.pid = self;
    REQUIRE(tree.wire().release(place));
    CHECK(tree.services.take_changes() == Rows{{"write", "/data/passed", 8}});
    CHECK(tree.services.authors().back() == other);
    CHECK(tree.get("passed") == "minetheirs!?");
  }
  ::kill(other, SIGKILL);
  ::waitpid(other, nullptr, 0);
}

TEST_CASE("wire: reading a tree writes no row and needs no flush") {
  DataTree tree;
  tree.put("file", "text\n");
  const auto place = tree.open("/data/file", O_RDONLY);
  CHECK(tree.wire().read(place).value_or("") == "text\n");
  CHECK(tree.wire().read(at(place, 5)).value_or("x").empty());
  CHECK(tree.wire().read(at(place, 1), 2).value_or("") == "ex");
  CHECK(code_of(tree.wire().write(place, "x")) == EBADF);
  REQUIRE(tree.wire().release(place));
  CHECK(tree.services.take_changes().empty());
}

TEST_CASE("wire: a megabyte goes in one piece, both ways") {
  DataTree tree;
  std::string bytes(1U << 20U, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31 % 251);
  const auto place = tree.create("large");
  CHECK(tree.wire().write(place, bytes).value_or(0) == bytes.size());
  CHECK(tree.wire().read(place, 1U << 20U).value_or("") == bytes);
  CHECK(tree.wire().read(place, ~0U).value_or("") == bytes);
}

constexpr const char* kCut = R"({"before":{"size":9},"after":{"size":0}})";

TEST_CASE("wire: opening for writing is told at open, and truncating with it") {
  DataTree tree;
  tree.put("file", "old text\n");
  const auto place = tree.open("/data/file", O_WRONLY | O_TRUNC);
  CHECK(tree.services.take_changes() ==
        Rows{{"open", "/data/file"}, {"truncate", "/data/file", 0, "", kCut}});
  CHECK(tree.get("file").empty());
  REQUIRE(tree.wire().write(place, "new\n"));
  REQUIRE(tree.wire().flush(place));
  REQUIRE(tree.wire().release(place));
  CHECK(tree.services.take_changes() == Rows{{"write", "/data/file", 4}});
}

TEST_CASE("wire: an open that only reads, and one that creates, tell what they truncate") {
  DataTree tree;
  tree.put("file", "old text\n");
  const Rows wanted{{"open", "/data/file"}, {"truncate", "/data/file", 0, "", kCut}};
  const auto place = tree.open("/data/file", O_RDONLY | O_TRUNC);
  CHECK(tree.services.take_changes() == wanted);
  CHECK(tree.get("file").empty());
  REQUIRE(tree.wire().release(place));
  tree.put("file", "old text\n");
  REQUIRE(tree.wire().create(tree.root, "file", O_WRONLY | O_CREAT | O_TRUNC, 0644));
  CHECK(tree.services.take_changes() == wanted);
  CHECK(tree.get("file").empty());
  tree.open("/data/file", O_RDWR | O_TRUNC);
  CHECK(tree.services.take_changes() == Rows{{"open", "/data/file"}});  // there was nothing to cut
}

TEST_CASE("wire: attributes are set and told") {
  DataTree tree;
  tree.put("file", "123456789\n");
  const auto entry = tree.wire().lookup(tree.root, "file");
  REQUIRE(entry);
  fuse_setattr_in wanted{};
  wanted.valid = FATTR_SIZE;
  wanted.size = 4;
  CHECK(tree.wire().set_attributes(entry->nodeid, wanted)->attr.size == 4);
  wanted.size = ~std::uint64_t{0};
  CHECK(code_of(tree.wire().set_attributes(entry->nodeid, wanted)) == EINVAL);
  wanted.valid = FATTR_MODE | FATTR_MTIME;
  wanted.mode = 0600;
  wanted.mtime = 1'234'567;
  wanted.mtimensec = 89;
  const auto now = tree.wire().set_attributes(entry->nodeid, wanted);
  REQUIRE(now);
  CHECK((now->attr.mode & 07777U) == 0600);
  CHECK(now->attr.mtime == 1'234'567);
  CHECK(now->attr.mtimensec == 89);
  CHECK(tree.get("file") == "1234");
  const Rows rows = tree.services.take_changes();
  REQUIRE(rows.size() == 2);
  const std::string cut = R"({"before":{"size":10},"after":{"size":4}})";
  CHECK(rows[0] == ChangeRow{"truncate", "/data/file", 0, "", cut});
  CHECK(rows[1].operation == "attributes");
  const json::Value told = json::parse(rows[1].details).value_or(json::Value());
  CHECK(told["before"]["mode"].text() == fmt::format("{:04o}", entry->attr.mode & 07777U));
  CHECK_FALSE(told["before"]["mtime"].text().empty());
  CHECK(json::dump(told["after"]) == R"({"mode":"0600","mtime":"1234567.000000089"})");
}

TEST_CASE("wire: names are made, linked, moved and removed, and told") {
  DataTree tree;
  const auto directory = tree.wire().make_directory(tree.root, "sub", 0755);
  REQUIRE(directory);
  CHECK((directory->attr.mode & S_IFMT) == S_IFDIR);
  const std::string link = std::string("name") + '\0' + "target" + '\0';
  REQUIRE(tree.wire().call(FUSE_SYMLINK, directory->nodeid, link));
  const auto symlink = tree.wire().lookup(directory->nodeid, "name");
  REQUIRE(symlink);
  CHECK(tree.wire().call(FUSE_READLINK, symlink->nodeid, "").value_or("") == "target");
  tree.put("file", "x");
  const auto file = tree.wire().lookup(tree.root, "file");
  REQUIRE(file);
  const fuse_link_in hard{.oldnodeid = file->nodeid};
  const auto linked = wire_struct<fuse_entry_out>(
      tree.wire().call(FUSE_LINK, directory->nodeid, wire_bytes(hard) + "hard" + '\0'));
  REQUIRE(linked);
  CHECK(linked->nodeid == file->nodeid);
  CHECK(linked->attr.nlink == 2);
  REQUIRE(tree.wire().rename({directory->nodeid, "hard"}, {tree.root, "moved"}));
  REQUIRE(tree.wire().unlink(directory->nodeid, "name"));
  CHECK(code_of(tree.wire().unlink(directory->nodeid, "name")) == ENOENT);
  REQUIRE(tree.wire().remove_directory(tree.root, "sub"));
  CHECK(tree.services.take_changes() == Rows{{"mkdir", "/data/sub"},
                                             {"symlink", "/data/sub/name"},
                                             {"link", "/data/sub/hard", 0, "/data/file"},
                                             {"rename", "/data/sub/hard", 0, "/data/moved"},
                                             {"remove", "/data/sub/name"},
                                             {"remove", "/data/sub"}});
}

TEST_CASE("wire: the flags of rename are kept or refused, never ignored") {
  DataTree tree;
  tree.put("a", "a");
  tree.put("b", "b");
  CHECK(code_of(tree.wire().rename({tree.root, "a"}, {tree.root, "b"}, RENAME_NOREPLACE)) ==
        EEXIST);
  CHECK(tree.get("b") == "b");
  CHECK(code_of(tree.wire().rename({tree.root, "a"}, {tree.root, "b"}, 1U << 3)) == EINVAL);
  CHECK(tree.services.take_changes().empty());
  REQUIRE(tree.wire().rename({tree.root, "a"}, {tree.root, "b"}, RENAME_EXCHANGE));
  CHECK(tree.get("a") == "b");
  REQUIRE(tree.wire().rename({tree.root, "a"}, {tree.root, "b"}));
  CHECK(tree.get("b") == "b");
  CHECK(tree.services.take_changes() ==
        Rows{{"rename", "/data/a", 0, "/data/b", R"({"exchange":true})"},
             {"rename", "/data/a", 0, "/data/b"}});
}

TEST_CASE("wire: a rename may leave a whiteout, which is told, too") {
  DataTree tree;
  tree.put("a", "a");
  tree.put("b", "b");
  const unsigned only_new = RENAME_WHITEOUT | RENAME_NOREPLACE;
  CHECK(code_of(tree.wire().rename({tree.root, "a"}, {tree.root, "b"}, only_new)) == EEXIST);
  CHECK(tree.get("a") == "a");
  CHECK(tree.services.take_changes().empty());
  REQUIRE(tree.wire().rename({tree.root, "a"}, {tree.root, "b"}, RENAME_WHITEOUT));
  CHECK(tree.get("b") == "a");
  const auto left = tree.wire().lookup(tree.root, "a");
  REQUIRE(left);
  CHECK((left->attr.mode & S_IFMT) == S_IFCHR);
  CHECK(left->attr.rdev == 0);
  REQUIRE(tree.wire().rename({tree.root, "b"}, {tree.root, "c"}, only_new));
  CHECK(tree.get("c") == "a");
  CHECK(tree.services.take_changes() == Rows{{"rename", "/data/a", 0, "/data/b"},
                                             {"mknod", "/data/a"},
                                             {"rename", "/data/b", 0, "/data/c"},
                                             {"mknod", "/data/b"}});
}

TEST_CASE("wire: nothing moves between a tree and the rows") {
  DataTree tree;
  tree.put("a", "a");
  const auto entry = tree.wire().lookup(tree.root, "a");
  REQUIRE(entry);
  CHECK(code_of(tree.wire().rename({tree.root, "a"}, {1, "value"})) == EXDEV);
  const fuse_link_in hard{.oldnodeid = tree.wire().lookup(1, "value")->nodeid};
  CHECK(code_of(tree.wire().call(FUSE_LINK, tree.root, wire_bytes(hard) + "hard" + '\0')) == EXDEV);
  CHECK(tree.services.take_changes().empty());
}

TEST_CASE("wire: a file that is removed while open keeps its bytes") {
  DataTree tree;
  const auto place = tree.create("gone");
  REQUIRE(tree.wire().write(place, "still here"));
  REQUIRE(tree.wire().unlink(tree.root, "gone"));
  CHECK(code_of(tree.wire().lookup(tree.root, "gone")) == ENOENT);
  CHECK(tree.wire().read(place).value_or("") == "still here");
  REQUIRE(tree.wire().write(at(place, 10), "!"));
  const auto attributes = tree.wire().attributes(place.node);
  REQUIRE(attributes);
  CHECK(attributes->attr.nlink == 0);
  CHECK(attributes->attr.size == 11);
  REQUIRE(tree.wire().flush(place));
  REQUIRE(tree.wire().release(place));
  const Rows rows = tree.services.take_changes();
  REQUIRE(rows.size() == 3);
  CHECK(rows[2].operation == "write");
  CHECK(rows[2].bytes == 11);
}

TEST_CASE("wire: extended attributes, with too little room and with none") {
  DataTree tree;
  tree.put("file", "x");
  const auto entry = tree.wire().lookup(tree.root, "file");
  REQUIRE(entry);
  const auto set = tree.wire().set_xattr(entry->nodeid, "user.colour", "green");
  if (code_of(set) == ENOTSUP) return;  // the disk under /tmp has none
  REQUIRE(set);
  CHECK(tree.services.take_changes() ==
        Rows{{"xattr", "/data/file", 5, "", R"({"name":"user.colour"})"}});
  CHECK(tree.wire().get_xattr(entry->nodeid, "user.colour", 100).value_or("") == "green");
  CHECK(code_of(tree.wire().get_xattr(entry->nodeid, "user.colour", 4)) == ERANGE);
  const auto size =
      wire_struct<fuse_getxattr_out>(tree.wire().get_xattr(entry->nodeid, "user.colour", 0));
  REQUIRE(size);
  CHECK(size->size == 5);
  CHECK(code_of(tree.wire().get_xattr(entry->nodeid, "user.none", 100)) == ENODATA);
  REQUIRE(tree.wire().call(FUSE_REMOVEXATTR, entry->nodeid, std::string("user.colour") + '\0'));
  CHECK(tree.services.take_changes() ==
        Rows{{"xattr", "/data/file", 0, "", R"({"name":"user.colour","removed":true})"}});
}

TEST_CASE("wire: space is reserved, holes are found, ranges are copied") {
  DataTree tree;
  const auto source = tree.create("source");
  REQUIRE(tree.wire().write(source, "0123456789"));
  REQUIRE(tree.wire().allocate(at(source, 0), 1U << 20U));
  CHECK(tree.wire().attributes(source.node)->attr.size == 1U << 20U);
  CHECK(tree.wire().seek(source, SEEK_DATA).value_or(99) == 0);
  CHECK(tree.wire().seek(source, SEEK_HOLE).value_or(0) > 0);
  CHECK(code_of(tree.wire().seek(at(source, 1U << 20U), SEEK_DATA)) == ENXIO);
  const auto target = tree.create("target");
  tree.services.take_changes();
  CHECK(tree.wire().copy_range(at(source, 2), at(target, 1), 5).value_or(0) == 5);
  REQUIRE(tree.wire().flush(target));
  CHECK(tree.services.take_changes() == Rows{{"write", "/data/target", 5}});
  CHECK(tree.get("target") == std::string("\0", 1) + "23456");
  CHECK(code_of(tree.wire().copy_range(source, tree.open("/ctl", O_WRONLY), 5)) == EXDEV);
}

TEST_CASE("wire: fsync tells what was written before it makes it last") {
  DataTree tree;
  const auto place = tree.create("durable");
  REQUIRE(tree.wire().write(place, "bytes"));
  tree.services.take_changes();
  REQUIRE(tree.wire().fsync(place));
  CHECK(tree.services.take_changes() == Rows{{"write", "/data/durable", 5}});
  CHECK(tree.services.counted("sync") == 1);
}

TEST_CASE("wire: what the journal does not take does not happen") {
  DataTree tree;
  tree.put("file", "text");
  const auto entry = tree.wire().lookup(tree.root, "file");
  REQUIRE(entry);
  const auto open = tree.create("open");
  REQUIRE(tree.wire().write(open, "bytes"));
  tree.services.take_changes();
  tree.services.refuse_changes(true);
  CHECK(code_of(tree.wire().create(tree.root, "new", O_RDWR | O_CREAT, 0644)) == ENOSPC);
  CHECK(code_of(tree.wire().make_directory(tree.root, "sub", 0755)) == ENOSPC);
  CHECK(code_of(tree.wire().open(entry->nodeid, O_WRONLY)) == ENOSPC);
  CHECK(code_of(tree.wire().flush(open)) == ENOSPC);
  CHECK_FALSE(file::exists(tree.disk("new")));
  CHECK_FALSE(file::exists(tree.disk("sub")));
  tree.services.refuse_changes(false);
  REQUIRE(tree.wire().flush(open));
  CHECK(tree.services.take_changes() == Rows{{"write", "/data/open", 5}});
}

TEST_CASE("wire: an existing file that could not be told of stays") {
  DataTree tree;
  tree.put("file", "text");
  tree.services.refuse_changes(true);
  CHECK(code_of(tree.wire().create(tree.root, "file", O_WRONLY | O_CREAT, 0644)) == ENOSPC);
  CHECK(tree.get("file") == "text");
}

TEST_CASE("wire: errors of a tree are the disk's own") {
  DataTree tree;
  tree.put("file", "x");
  CHECK(code_of(tree.wire().create(tree.root, "file", O_RDWR | O_CREAT | O_EXCL, 0644)) == EEXIST);
  CHECK(code_of(tree.wire().lookup(tree.root, std::string(300, 'n'))) == ENAMETOOLONG);
  CHECK(code_of(tree.wire().remove_directory(tree.root, "file")) == ENOTDIR);
  REQUIRE(tree.wire().make_directory(tree.root, "sub", 0755));
  CHECK(code_of(tree.wire().unlink(tree.root, "sub")) == EISDIR);
  const auto sub = tree.wire().lookup(tree.root, "sub");
  REQUIRE(sub);
  REQUIRE(tree.wire().make_directory(sub->nodeid, "inner", 0755));
  CHECK(code_of(tree.wire().remove_directory(tree.root, "sub")) == ENOTEMPTY);
}

}  // namespace agentfs::test
