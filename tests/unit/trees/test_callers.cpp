// SPDX-License-Identifier: MIT
// A root daemon acts for others: what a caller does through the store leaves the owners, modes and
// errors that the same caller gets in a plain directory.
#include <grp.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <cstring>
#include <thread>

#include "tree_fixture.h"

namespace agentfs::test {
namespace {

// A process of another user that waits, so that its groups can be asked; and others like it that
// do one thing each.
class Person {
 public:
  Person(uid_t uid, gid_t gid, std::vector<gid_t> groups)
      : uid_(uid), gid_(gid), groups_(std::move(groups)) {
    int ready[2];
    int end[2];
    REQUIRE(::pipe2(ready, O_CLOEXEC) == 0);
    REQUIRE(::pipe2(end, O_CLOEXEC) == 0);
    const UniqueFd ready_read(ready[0]);
    UniqueFd ready_write(ready[1]);
    UniqueFd end_read(end[0]);
    end_ = UniqueFd(end[1]);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      char byte = 0;
      end_.reset();
      become();
      if (::write(ready_write.get(), "x", 1) != 1) ::_exit(1);
      (void)!::read(end_read.get(), &byte, 1);
      ::_exit(0);
    }
    ready_write.reset();
    char byte = 0;
    REQUIRE(::read(ready_read.get(), &byte, 1) == 1);
  }
  ~Person() {
    end_.reset();
    ::waitpid(pid_, nullptr, 0);
  }
  TreeCaller caller(mode_t umask = 0) const {
    return {.uid = uid_, .gid = gid_, .pid = pid_, .umask = umask};
  }
  // The errno of a system call made by this person.
  int does(mode_t umask, const std::function<long()>& call) const {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      become();
      ::umask(umask);
      ::_exit(call() < 0 ? errno : 0);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    return WEXITSTATUS(status);
  }

 private:
  void become() const {
    if (::setgroups(groups_.size(), groups_.data()) != 0) ::_exit(255);
    if (::setresgid(gid_, gid_, gid_) != 0 || ::setresuid(uid_, uid_, uid_) != 0) ::_exit(255);
  }
  const uid_t uid_;
  const gid_t gid_;
  const std::vector<gid_t> groups_;
  UniqueFd end_;
  pid_t pid_ = 0;
};

constexpr gid_t kTeam = 60'010;
constexpr uid_t kSame = static_cast<uid_t>(-1);

std::string shown(const std::string& path) {
  struct stat attributes{};
  if (::lstat(path.c_str(), &attributes) != 0) return errno_name(errno);
  return fmt::format("{:o} {}:{}", attributes.st_mode, attributes.st_uid, attributes.st_gid);
}

// The same directories on both sides: everybody's, the team's with and without set-group-ID, one
// with a default ACL, one of another user, a sticky one with a file of another user.
struct Sides {
  SharedDirectory tree;
  SharedDirectory plain;
  std::unique_ptr<TreeStore> store;

  Sides() {
    for (const SharedDirectory* side : {&tree, &plain}) {
      directory(side->path("all"), 0, 0, 0777);
      directory(side->path("team"), 0, kTeam, 0770);
      directory(side->path("setgid"), 0, kTeam, 02777);
      directory(side->path("acl"), 0, 0, 0777);
      directory(side->path("other"), 60'009, 60'009, 0755);
      directory(side->path("sticky"), 0, 0, 01777);
      default_acl(side->path("acl"));
      for (const char* name : {"all/foreign", "sticky/foreign"}) {
        must(file::replace(side->path(name), "x", 0666));
        REQUIRE(::chown(side->path(name).c_str(), 60'009, 60'009) == 0);
        REQUIRE(::chmod(side->path(name).c_str(), 06777) == 0);
      }
    }
    store = open_store(tree.path());
  }
  static void directory(const std::string& path, uid_t uid, gid_t gid, mode_t mode) {
    REQUIRE(::mkdir(path.c_str(), 0700) == 0);
    REQUIRE(::chown(path.c_str(), uid, gid) == 0);
    REQUIRE(::chmod(path.c_str(), mode) == 0);
  }
  // u::rwx g::rwx o::r-x as the kernel stores it; a disk without ACLs goes without.
  static void default_acl(const std::string& path) {
    const unsigned char acl[] = {2,    0, 0, 0,                          //
                                 1,    0, 7, 0, 0xff, 0xff, 0xff, 0xff,  //
                                 4,    0, 7, 0, 0xff, 0xff, 0xff, 0xff,  //
                                 0x20, 0, 5, 0, 0xff, 0xff, 0xff, 0xff};
    ::setxattr(path.c_str(), "system.posix_acl_default", acl, sizeof(acl), 0);
  }
  TreeNodeRef node(const std::string& path) const {
    TreeNodeRef at = store->root();
    for (const auto& part : std::filesystem::path(path)) {
      at = must(store->lookup(*at, part)).node;
    }
    return at;
  }
  void equal(const std::string& path) const {
    INFO(path);
    CHECK(shown(tree.path(path)) == shown(plain.path(path)));
  }
};

void check_making(const Sides& sides, const Person& person, const std::string& in, mode_t umask) {
  const auto parent = sides.node(in);
  const TreeCaller caller = person.caller(umask);
  const auto on = [&](const char* name) { return sides.plain.path(in + "/" + name); };
  INFO(in << " umask " << umask);
  CHECK(code_of(sides.store->create(*parent, "file", O_RDWR, 0666, caller)) ==
        person.does(umask, [&] { return ::open(on("file").c_str(), O_CREAT | O_RDWR, 0666); }));
  CHECK(code_of(sides.store->create(*parent, "setgid", O_RDWR, 02777, caller)) ==
        person.does(umask, [&] { return ::open(on("setgid").c_str(), O_CREAT | O_RDWR, 02777); }));
  CHECK(code_of(sides.store->make_directory(*parent, "sub", 0777, caller)) ==
        person.does(umask, [&] { return ::mkdir(on("sub").c_str(), 0777); }));
  CHECK(code_of(sides.store->make_node(*parent, "fifo", S_IFIFO | 0666, 0, caller)) ==
        person.does(umask, [&] { return ::mkfifo(on("fifo").c_str(), 0666); }));
  CHECK(code_of(sides.store->make_node(*parent, "null", S_IFCHR | 0666, makedev(1, 3), caller)) ==
        person.does(umask,
                    [&] { return ::mknod(on("null").c_str(), S_IFCHR | 0666, makedev(1, 3)); }));
  CHECK(code_of(sides.store->make_link(*parent, "link", "file", caller)) ==
        person.does(umask, [&] { return ::symlink("file", on("link").c_str()); }));
  for (const char* name : {"file", "setgid", "sub", "fifo", "null", "link"}) {
    sides.equal(in + "/" + name);
  }
}

void check_changing(const Sides& sides, const Person& person, const std::string& path) {
  const auto node = sides.node(path);
  const std::string plain_path = sides.plain.path(path);
  for (const mode_t mode : {04755u, 02755u, 02745u, 0600u, 06777u}) {
    SetAttributes wanted{.which = SetAttributes::mode, .values = {}};
    wanted.values.st_mode = mode;
    INFO(path << " mode " << mode);
    CHECK(code_of(sides.store->set_attributes(*node, nullptr, wanted, person.caller())) ==
          person.does(0, [&] { return ::chmod(plain_path.c_str(), mode); }));
    sides.equal(path);
  }
  for (const gid_t group : {kTeam, static_cast<gid_t>(60'009)}) {
    SetAttributes wanted{.which = SetAttributes::gid, .values = {}};
    wanted.values.st_gid = group;
    INFO(path << " group " << group);
    CHECK(code_of(sides.store->set_attributes(*node, nullptr, wanted, person.caller())) ==
          person.does(0, [&] { return ::chown(plain_path.c_str(), kSame, group); }));
    sides.equal(path);
  }
}

}  // namespace

TEST_CASE("what a caller makes is the caller's", "[trees]") {
  if (!is_root()) return;
  const Sides sides;
  const std::vector<gid_t> groups = GENERATE(std::vector<gid_t>{}, std::vector<gid_t>{kTeam});
  const Person person(60'001, 60'001, groups);
  for (const char* in : {"all", "team", "setgid", "acl", "other", "sticky"}) {
    check_making(sides, person, in, 027);
  }
  CHECK(::geteuid() == 0);
  CHECK(shown(sides.tree.path("all/file")) == "100640 60001:60001");
}

TEST_CASE("root's own files are root's", "[trees]") {
  if (!is_root()) return;
  const Sides sides;
  const Person root(0, 0, {});
  for (const char* in : {"all", "setgid", "acl"}) check_making(sides, root, in, 022);
  check_changing(sides, root, "all/foreign");
}

TEST_CASE("a caller changes what the disk lets the caller change", "[trees]") {
  if (!is_root()) return;
  const Sides sides;
  const std::vector<gid_t> groups = GENERATE(std::vector<gid_t>{}, std::vector<gid_t>{kTeam});
  const Person person(60'001, 60'001, groups);
  check_making(sides, person, "all", 0);
  check_making(sides, person, "setgid", 0);
  for (const char* path : {"all/file", "all/sub", "setgid/file", "setgid/sub"}) {
    check_changing(sides, person, path);
  }
}

TEST_CASE("removing and renaming need the rights of the caller", "[trees]") {
  if (!is_root()) return;
  const Sides sides;
  const Person person(60'001, 60'001, {kTeam});
  const TreeCaller caller = person.caller();
  for (const std::string in : {"sticky", "all"}) {
    const auto parent = sides.node(in);
    const std::string path = sides.plain.path(in + "/foreign");
    const std::string other = sides.plain.path(in + "/renamed");
    INFO(in);
    CHECK(code_of(sides.store->rename(*parent, "foreign", *parent, "renamed", 0, caller)) ==
          person.does(0, [&] { return ::rename(path.c_str(), other.c_str()); }));
    CHECK(code_of(sides.store->unlink(*parent, "foreign", caller)) ==
          person.does(0, [&] { return ::unlink(path.c_str()); }));
    CHECK(code_of(sides.store->unlink(*parent, "renamed", caller)) ==
          person.does(0, [&] { return ::unlink(other.c_str()); }));
  }
  const auto root = sides.store->root();
  const auto sticky = sides.node("sticky/foreign");
  CHECK(code_of(sides.store->link(*sticky, *sides.node("all"), "linked", caller)) ==
        person.does(0, [&] {
          return ::link(sides.plain.path("sticky/foreign").c_str(),
                        sides.plain.path("all/linked").c_str());
        }));
  CHECK(code_of(sides.store->remove_directory(*root, "team", caller)) ==
        person.does(0, [&] { return ::rmdir(sides.plain.path("team").c_str()); }));
}

TEST_CASE("opening asks for the caller's rights, and executing for no right to read", "[trees]") {
  if (!is_root()) return;
  constexpr int kToExecute = 040;
  const Sides sides;
  const Person person(60'001, 60'001, {kTeam});
  must(file::replace(sides.tree.path("all/tool"), "text"));
  must(file::replace(sides.tree.path("all/team"), "text"));
  REQUIRE(::chmod(sides.tree.path("all/tool").c_str(), 0711) == 0);
  REQUIRE(::chown(sides.tree.path("all/team").c_str(), 0, kTeam) == 0);
  REQUIRE(::chmod(sides.tree.path("all/team").c_str(), 0660) == 0);
  const auto tool = sides.node("all/tool");
  CHECK(code_of(sides.store->open(*tool, O_RDONLY, person.caller())) == EACCES);
  CHECK(code_of(sides.store->open(*tool, O_RDONLY | kToExecute, person.caller())) == 0);
  CHECK(code_of(sides.store->access(*tool, X_OK, person.caller())) == 0);
  CHECK(code_of(sides.store->access(*tool, R_OK, person.caller())) == EACCES);
  const auto team = sides.node("all/team");
  CHECK(code_of(sides.store->open(*team, O_RDWR, person.caller())) == 0);
  CHECK(code_of(sides.store->open(*team, O_RDONLY | kToExecute, person.caller())) == EACCES);
  TreeCaller gone = person.caller();
  gone.pid = 0;
  CHECK(code_of(sides.store->open(*team, O_RDWR, gone)) == EACCES);
}

TEST_CASE("a writer who is not the owner takes set-ID bits away, and nothing else", "[trees]") {
  if (!is_root()) return;
  const Sides sides;
  const Person person(60'001, 60'001, {});
  const auto node = sides.node("all/foreign");
  SetAttributes wanted{.which = SetAttributes::mode, .values = {}};
  for (const mode_t refused : {06770u, 0770u, 07777u}) {
    wanted.values.st_mode = refused;
    CHECK(code_of(sides.store->set_attributes(*node, nullptr, wanted, person.caller())) == EPERM);
  }
  wanted.values.st_mode = 0777;
  CHECK(code_of(sides.store->set_attributes(*node, nullptr, wanted, person.caller())) == 0);
  CHECK(shown(sides.tree.path("all/foreign")) == "100777 60009:60009");
}

TEST_CASE("a file that is cut keeps the set-ID bits that the disk keeps", "[trees]") {
  if (!is_root()) return;
  const Sides sides;
  const std::vector<gid_t> groups = GENERATE(std::vector<gid_t>{}, std::vector<gid_t>{kTeam});
  const Person person(60'001, 60'001, groups);
  const std::string in_plain = sides.plain.path("all/cut");
  const auto cut_anew = [&](mode_t mode, const auto& cut) {
    for (const SharedDirectory* side : {&sides.tree, &sides.plain}) {
      must(file::replace(side->path("all/cut"), "text"));
      REQUIRE(::chown(side->path("all/cut").c_str(), 60'009, kTeam) == 0);
      REQUIRE(::chmod(side->path("all/cut").c_str(), mode) == 0);
    }
    INFO(mode);
    CHECK(code_of(cut(*sides.node("all/cut"))) ==
          person.does(0, [&] { return ::open(in_plain.c_str(), O_WRONLY | O_TRUNC); }));
    sides.equal("all/cut");
  };
  for (const mode_t mode : {02666u, 02676u, 02767u, 04666u, 06677u, 06666u}) {
    cut_anew(mode, [&](const TreeNode& node) {
      return sides.store->open(node, O_WRONLY | O_TRUNC, person.caller());
    });
    cut_anew(mode, [&](const TreeNode&) {
      return sides.store->create(*sides.node("all"), "cut", O_WRONLY | O_TRUNC, 0, person.caller());
    });
  }
}

TEST_CASE("a handle truncates for a caller who may no longer write", "[trees]") {
  if (!is_root()) return;
  const Sides sides;
  const Person person(60'001, 60'001, {});
  const auto made =
      must(sides.store->create(*sides.node("all"), "locked", O_RDWR, 0444, person.caller()));
  SetAttributes wanted{.which = SetAttributes::size, .values = {}};
  wanted.values.st_size = 7;
  const auto& node = *made.entry.node;
  CHECK(code_of(sides.store->set_attributes(node, nullptr, wanted, person.caller())) == EACCES);
  CHECK(must(sides.store->set_attributes(node, made.file.get(), wanted, person.caller())).st_size ==
        7);
}

TEST_CASE("callers on several threads keep their own ids and umasks", "[trees]") {
  if (!is_root()) return;
  const Sides sides;
  std::atomic<int> wrong = 0;
  const auto parent = sides.node("all");
  const mode_t umask = ::umask(022);
  const auto work = [&](uid_t uid) {
    const mode_t mask = uid % 2 == 0 ? 077 : 0;
    const TreeCaller caller{.uid = uid, .gid = uid, .pid = 0, .umask = mask};
    for (int i = 0; i < 300; ++i) {
      const auto made =
          sides.store->create(*parent, fmt::format("{}-{}", uid, i), O_RDWR | O_EXCL, 0666, caller);
      if (!made) ++wrong;
      if (!made) continue;
      const struct stat& attributes = made->entry.attributes;
      const bool right = attributes.st_uid == uid && attributes.st_gid == uid &&
                         (attributes.st_mode & 07777) == (0666 & ~mask);
      if (!right) ++wrong;
    }
  };
  std::vector<std::jthread> threads;
  for (uid_t uid : {60'001u, 60'002u, 0u, 60'003u}) threads.emplace_back(work, uid);
  threads.clear();
  CHECK(wrong == 0);
  CHECK(::umask(umask) == 022);
}

}  // namespace agentfs::test
