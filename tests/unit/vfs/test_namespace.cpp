// SPDX-License-Identifier: MIT
// The mount's paths for agents, over a real directory.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "test_agent.h"

namespace agentfs::vfs {

TEST_CASE("what an agent writes keeps its owner, rights and attributes") {
  Agent agent;
  REQUIRE(file::replace(agent.directory.path("f"), "old\n"));
  const std::string host = agent.directory.path("f");
  const bool is_root = ::geteuid() == 0;
  if (is_root) REQUIRE(::chown(host.c_str(), 1234, 99) == 0);
  REQUIRE(::chmod(host.c_str(), 0640) == 0);
  REQUIRE(::setxattr(host.c_str(), "user.note", "1", 1, 0) == 0);
  REQUIRE(agent.tree.files.write(agent.caller, "/work/f", "new\n"));
  struct stat now{};
  REQUIRE(::stat(host.c_str(), &now) == 0);
  CHECK((now.st_mode & 07777) == 0640);
  if (is_root) CHECK(now.st_uid == 1234);
  if (is_root) CHECK(now.st_gid == 99);
  char value = 0;
  CHECK(::getxattr(host.c_str(), "user.note", &value, 1) == 1);
  CHECK(*file::read(host) == "new\n");
}

TEST_CASE("an agent's tools read nothing that its groups may not, whatever others may") {
  if (::geteuid() != 0) {
    WARN("SKIPPED: only root's daemon has the rights of others");
    return;
  }
  Agent agent;
  agent.caller.host.uid = agent.caller.host.gid = 54'321;
  agent.caller.host.groups = {54'322};
  REQUIRE(::chmod(agent.directory.path().c_str(), 0755) == 0);
  REQUIRE(file::replace(agent.directory.path("f"), "closed to a group\n"));
  const std::string host = agent.directory.path("f");
  REQUIRE(::chown(host.c_str(), 0, 54'322) == 0);
  REQUIRE(::chmod(host.c_str(), 0604) == 0);
  CHECK(code(agent.tree.files.read(agent.caller, "/work/f", 0, 0)) == EACCES);
  agent.caller.host.groups.clear();
  CHECK(agent.read("/work/f") == "closed to a group\n");
}

TEST_CASE("an agent writes, reads, lists and removes plain files") {
  Agent agent;
  FileSystem& files = agent.tree.files;
  REQUIRE(files.write(agent.caller, "/work/site/src/main.c", "int main;\n"));
  CHECK(*file::read(agent.directory.path("site/src/main.c")) == "int main;\n");
  CHECK(agent.read("/work/site/../site//src/./main.c", 4, 4) == "main");
  const std::string host = agent.directory.path("site/src/main.c");
  REQUIRE(::chmod(host.c_str(), 0755) == 0);
  REQUIRE(files.write(agent.caller, "/work/site/src/main.c", "longer text\n"));
  CHECK((files.attributes(agent.caller, "/work/site/src/main.c")->st_mode & 0777U) == 0755);
  const auto entries = files.list(agent.caller, "/work/site/src");
  REQUIRE(entries);
  REQUIRE(entries->size() == 1);
  CHECK((*entries)[0].name == "main.c");
  CHECK((*entries)[0].size == 12);
  CHECK(code(files.write(agent.caller, "/work/site/src", "x")) == EISDIR);
  CHECK(code(files.read(agent.caller, "/work/site/src", 0, 0)) == EISDIR);
  CHECK(code(files.read(agent.caller, "/work/none", 0, 0)) == ENOENT);
  CHECK(code(files.read(agent.caller, "work", 0, 0)) == EINVAL);
  CHECK(files.remove(agent.caller, "/work/site"));
  CHECK_FALSE(file::exists(agent.directory.path("site")));
  CHECK(code(files.remove(agent.caller, "/work")) == EPERM);
}

TEST_CASE("a write that is refused leaves no directories behind") {
  Agent agent;
  FileSystem& files = agent.tree.files;
  REQUIRE(files.write(agent.caller, "/work/there/a", "text"));
  const std::string too_long = "/work/there/b/c/" + std::string(256, 'n');
  CHECK(code(files.write(agent.caller, too_long, "text")) == ENAMETOOLONG);
  CHECK_FALSE(file::exists(agent.directory.path("there/b")));
  CHECK(file::exists(agent.directory.path("there/a")));
}

TEST_CASE("what has no text is neither read nor replaced, and is told of by its path here") {
  Agent agent;
  const std::string fifo = agent.directory.path("pipe");
  REQUIRE(::mkfifo(fifo.c_str(), 0644) == 0);
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string socket = agent.directory.path("socket");
  REQUIRE(socket.copy(address.sun_path, sizeof(address.sun_path) - 1) == socket.size());
  REQUIRE(::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  ::close(listener);
  FileSystem& files = agent.tree.files;
  for (const auto& [path, kind] : {std::pair("/work/pipe", "FIFO"), {"/work/socket", "socket"}}) {
    INFO(path);
    const auto before = files.attributes(agent.caller, path);
    const auto text = files.read(agent.caller, path, 0, 0);
    const Status written = files.write(agent.caller, path, "text");
    for (const Error& error : {text.error(), written.error()}) {
      CHECK(error.code == ENOTSUP);
      CHECK_THAT(error.message, Catch::Matchers::has(path) && Catch::Matchers::has(kind) &&
                                    !Catch::Matchers::has(agent.directory.path()));
    }
    CHECK(files.attributes(agent.caller, path)->st_mode == before->st_mode);
  }
  CHECK(agent.tree.files.list(agent.caller, "/work")->size() == 2);  // nothing temporary is left
  const auto directory = files.read(agent.caller, "/work", 0, 0);
  CHECK(directory.error().code == EISDIR);
  CHECK_THAT(directory.error().message, Catch::Matchers::has("/work: a directory"));
}

TEST_CASE("links inside a data tree are followed, and written through") {
  Agent agent;
  REQUIRE(agent.tree.files.write(agent.caller, "/work/a.txt", "one"));
  REQUIRE(::symlink("a.txt", (agent.directory.path("l")).c_str()) == 0);
  CHECK(agent.read("/work/l") == "one");
  CHECK(agent.tree.files.write(agent.caller, "/work/l", "two"));
  CHECK(*file::read(agent.directory.path("a.txt")) == "two");
  CHECK(std::filesystem::is_symlink(agent.directory.path("l")));
}

TEST_CASE("whether an agent may change a file is asked of where links lead") {
  Agent agent;
  FileSystem& files = agent.tree.files;
  agent.tree.services.closed = "/work/victim";
  for (const char* name : {"own", "victim", "victim/deep"}) {
    REQUIRE(file::make_directories(agent.directory.path("") + name));
  }
  REQUIRE(file::replace(agent.directory.path("victim/file"), "kept\n"));
  const auto link = [&](const char* target, const std::string& name) {
    REQUIRE(::symlink(target, (agent.directory.path("own/") + name).c_str()) == 0);
  };
  link("../victim", "directory");
  link("../victim/file", "file");
  link("/work/victim", "whole");
  link("../victim/new", "dangling");
  const Caller& caller = agent.caller;
  for (const char* path : {"/work/own/directory/made", "/work/own/directory/file", "/work/own/file",
                           "/work/own/whole/file", "/work/own/directory/new/file",
                           "/work/own/directory/deep/../file", "/work/victim/file"}) {
    INFO(path);
    CHECK(code(files.write(caller, path, "lost\n")) == EPERM);
  }
  for (const char* path :
       {"/work/own/directory/file", "/work/own/whole/deep", "/work/own/directory/deep/../file"}) {
    INFO(path);
    CHECK(code(files.remove(caller, path)) == EPERM);
  }
  CHECK(*file::read(agent.directory.path("victim/file")) == "kept\n");
  CHECK(file::exists(agent.directory.path("victim/deep")));
  CHECK_FALSE(file::exists(agent.directory.path("victim/new")));
  // A link is the agent's own name: it is replaced and removed, not followed.
  CHECK(files.write(caller, "/work/own/dangling", "own\n"));
  CHECK_FALSE(file::exists(agent.directory.path("victim/new")));
  CHECK(files.remove(caller, "/work/own/directory"));
  CHECK(file::exists(agent.directory.path("victim/file")));
}

TEST_CASE("an agent of another user enters, reads and writes what that user may") {
  test::TemporaryDirectory directory;
  const std::unique_ptr<TreeStore> store = *open_tree_store(directory.path());
  TestTree tree({{"/work", store.get()}}, true);
  constexpr uid_t kOther = 1500;
  tree.services.owners["/boxes/7"] = kOther;
  Caller caller;
  caller.process = {5};
  caller.host.uid = kOther;
  caller.host.gid = kOther;
  CHECK(tree.files.read(caller, "/boxes/7/state", 0, 0));
  caller.host.uid = kOther + 1;
  CHECK(code(tree.files.read(caller, "/boxes/7/state", 0, 0)) == EACCES);
  CHECK(code(tree.files.list(caller, "/boxes/7")) == EACCES);
  CHECK(code(wait_for<std::string>([&](Completion<std::string> done) {
          tree.files.command(caller, "/boxes/7/ctl", "go 1", std::move(done));
        })) == EACCES);
  TestRequest request(100);
  const Found box = tree.get(request, "/boxes/7");
  CHECK((box.attributes.st_mode & 07777U) == 0700);
  CHECK(box.attributes.st_uid == kOther);
  CHECK(tree.get(request, "/boxes/7/chat").attributes.st_uid == kOther);
  if (::geteuid() != 0) return;  // the disk is asked with the rights of somebody else
  REQUIRE(file::make_directories(directory.path("closed"), 0700));
  REQUIRE(file::replace(directory.path("closed/file"), "secret\n"));
  REQUIRE(::chmod(directory.path().c_str(), 0755) == 0);
  CHECK(code(tree.files.read(caller, "/work/closed/file", 0, 0)) == EACCES);
  CHECK(code(tree.files.list(caller, "/work/closed")) == EACCES);
  CHECK(code(tree.files.write(caller, "/work/mine", "x")) == EACCES);
  CHECK(code(tree.files.access(caller, "/work", W_OK)) == EACCES);
  CHECK(tree.files.access(caller, "/work", R_OK | X_OK));
}

TEST_CASE("an agent's commands give what reading the same descriptor would") {
  Agent agent;
  CHECK(agent.command("/boxes/7/ctl", "go 2").value().empty());
  CHECK(agent.command("/boxes/self/ctl", "fork").value() == "8\n");
  CHECK(agent.command("/boxes/7/ask", "hello").value() == "<hello>\n");
  CHECK(agent.command("/boxes/7/level", "9").value().empty());
  CHECK(agent.read("/boxes/7/level") == "9\n");
  CHECK(agent.command("/boxes/7/chat", "to you").value().empty());
  CHECK(world().box()->messages == std::vector<std::string>{"to you"});
  CHECK(code(agent.command("/boxes/7/ctl", "leap")) == EINVAL);
  CHECK(code(agent.command("/boxes/7/state", "x")) == EINVAL);
  CHECK(code(agent.command("/boxes/7", "x")) == EISDIR);
  CHECK(code(agent.command("/boxes/9/ctl", "x")) == ENOENT);
  CHECK(code(agent.tree.files.read(agent.caller, "/boxes/7/wait", 0, 0)) == EAGAIN);
  TestRequest person(10);
  CHECK_THAT(agent.tree.read(person, "/boxes/7/ask"), Catch::Matchers::has("usage"));
}

TEST_CASE("an agent's command that parks is answered later, or cancelled") {
  Agent agent;
  std::optional<Result<std::string>> answer;
  const auto ask = [&] {
    answer.reset();
    Completion<std::string> done([&](Result<std::string> reply) { answer = std::move(reply); });
    agent.tree.files.command(agent.caller, "/boxes/7/ask", "park", done);
    return done;
  };
  ask();
  CHECK_FALSE(answer.has_value());
  world().box()->requests.at(0).second.complete(std::string("late\n"));
  REQUIRE(answer.has_value());
  CHECK(answer->value() == "late\n");
  ask().cancel();
  REQUIRE(answer.has_value());
  CHECK(code(*answer) == EINTR);
}

TEST_CASE("an agent saves documents, whole and checked") {
  Agent agent;
  FileSystem& files = agent.tree.files;
  CHECK(files.write(agent.caller, "/boxes/7/conf/n.toml", "n = 1\n"));
  CHECK(agent.read("/boxes/7/conf/n.toml") == "n = 1\n");
  CHECK(code(files.write(agent.caller, "/boxes/7/conf/n.toml", "nonsense")) == EBADMSG);
  CHECK(files.remove(agent.caller, "/boxes/7/conf/n.toml"));
  CHECK(code(files.write(agent.caller, "/boxes/7/level", "3")) == EINVAL);
  CHECK(code(files.remove(agent.caller, "/boxes/7/level")) == EPERM);
}

}  // namespace agentfs::vfs
