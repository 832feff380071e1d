// SPDX-License-Identifier: MIT
// The mount's paths for agents, over a real directory.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <set>
#include <thread>

#include "backends/trees/trees.h"
#include "base/file.h"
#include "support/temporary.h"
#include "test_tree.h"

namespace agentfs::vfs {
namespace {

struct Told final : Invalidator {
  explicit Told(EventLoop& l) : loop(l) {}
  void inode(std::uint64_t) override { tellers.insert(std::this_thread::get_id()); }
  void entry(std::uint64_t, const std::string& name) override {
    tellers.insert(std::this_thread::get_id());
    on_thread = on_thread && !loop.on_thread();
    names.push_back(name);
    if (held.valid()) held.wait();
  }
  void removed(std::uint64_t parent, std::uint64_t, const std::string& name) override {
    gone.push_back(name);
    entry(parent, name);
  }
  void expire(std::uint64_t parent, const std::string& name) override { entry(parent, name); }
  void announce(const std::vector<TreeEvent>& changes) override {
    on_thread = on_thread && loop.on_thread();
    for (const TreeEvent& change : changes) announced.push_back(change.path);
  }
  EventLoop& loop;
  std::atomic<bool> on_thread = true;
  std::set<std::thread::id> tellers;
  std::shared_future<void> held;  // as by who holds the directory's lock
  std::vector<std::string> names;
  std::vector<std::string> gone;
  std::vector<std::string> announced;
};

// Waits until it has done what was posted before.
template <class Worker>
void catch_up(Worker& worker) {
  std::promise<void> caught_up;
  worker.post([&] { caught_up.set_value(); });
  caught_up.get_future().wait();
}

struct Agent {
  Agent() : store(*open_tree_store(directory.path())), tree({{"/work", store.get()}}) {
    caller.process = {5};
    caller.via = "call:1";
  }
  Result<std::string> command(const std::string& path, const std::string& line) {
    return wait_for<std::string>([&](Completion<std::string> done) {
      tree.files.command(caller, path, line, std::move(done));
    });
  }
  std::string read(const std::string& path, std::uint64_t offset = 0, std::uint64_t limit = 0) {
    const auto text = tree.files.read(caller, path, offset, limit);
    INFO(path);
    REQUIRE(text);
    return *text;
  }

  test::TemporaryDirectory directory;
  std::unique_ptr<TreeStore> store;
  TestTree tree;
  Caller caller;
};

}  // namespace

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

TEST_CASE(
    "the host's caches are told of an agent's change by one thread, which nobody else needs") {
  Agent agent;
  const auto told = std::make_shared<Told>(agent.tree.services.loop());
  agent.tree.channel->set_invalidator(told);
  CHECK(agent.tree.files.write(agent.caller, "/work/unseen/x", "1"));
  CHECK(told->names.empty());  // nobody has looked
  TestRequest host(10);
  const Found work = agent.tree.get(host, "/work");
  const std::uint64_t id = agent.tree.channel->remember(work.node);
  CHECK(agent.tree.files.write(agent.caller, "/work/seen", "1"));
  CHECK(told->names == std::vector<std::string>{"seen"});
  CHECK(agent.tree.files.remove(agent.caller, "/work/seen"));
  CHECK(told->names.size() == 2);
  catch_up(agent.tree.services.loop());
  CHECK(told->announced ==
        std::vector<std::string>{"/work/unseen", "/work/unseen/x", "/work/seen", "/work/seen"});
  CHECK(told->on_thread);
  CHECK(told->tellers.size() == 1);
  CHECK_FALSE(told->tellers.contains(std::this_thread::get_id()));
  std::promise<void> let_go;
  told->held = let_go.get_future().share();
  CHECK(agent.tree.files.write(agent.caller, "/work/held", "1"));  // after a while
  catch_up(agent.tree.services.loop());
  let_go.set_value();
  catch_up(agent.tree.services.notices());
  agent.tree.channel->set_invalidator(nullptr);
  agent.tree.channel->forget(id, 1);
}

TEST_CASE("what an agent replaces or removes has gone, but for a file with another name") {
  Agent agent;
  TestRequest host(10);
  CHECK(agent.tree.files.write(agent.caller, "/work/d/file", "1"));
  CHECK(agent.tree.files.write(agent.caller, "/work/d/one", "1"));
  const Found work = agent.tree.get(host, "/work");
  const Found directory = agent.tree.get(host, "/work/d");
  const Found file = agent.tree.get(host, "/work/d/file");
  const Found linked = agent.tree.get(host, "/work/d/one");
  CHECK(work.node->link(host, *linked.node, "two"));
  for (const Found* const one : {&work, &directory, &file, &linked}) {
    agent.tree.channel->remember(one->node);
  }
  const auto told = std::make_shared<Told>(agent.tree.services.loop());
  agent.tree.channel->set_invalidator(told);
  CHECK(agent.tree.files.write(agent.caller, "/work/d/file", "2"));
  CHECK(told->gone == std::vector<std::string>{"file"});
  agent.tree.channel->remember(agent.tree.get(host, "/work/d/file").node);
  CHECK(agent.tree.files.remove(agent.caller, "/work/d"));
  std::ranges::sort(told->gone);
  CHECK(told->gone == std::vector<std::string>{"d", "file", "file"});
  CHECK(told->names.back() == "d");  // with nothing left in it
  agent.tree.channel->set_invalidator(nullptr);
}

TEST_CASE("who is told of changes stays until that is over, though the session has ended") {
  Agent agent;
  TestRequest host(10);
  agent.tree.channel->remember(agent.tree.get(host, "/work").node);
  auto told = std::make_shared<Told>(agent.tree.services.loop());
  const std::weak_ptr<Told> known = told;
  std::promise<void> let_go;
  told->held = let_go.get_future().share();
  agent.tree.channel->set_invalidator(std::move(told));
  CHECK(agent.tree.files.write(agent.caller, "/work/held", "1"));  // after a while
  agent.tree.channel->set_invalidator(nullptr);
  CHECK_FALSE(known.expired());
  let_go.set_value();
  catch_up(agent.tree.services.loop());
  catch_up(agent.tree.services.notices());
  CHECK(known.expired());
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
