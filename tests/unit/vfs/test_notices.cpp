// SPDX-License-Identifier: MIT
// The host's caches, and who watches, are told of what agentfs itself has changed.
#include <algorithm>
#include <atomic>
#include <future>
#include <memory>
#include <set>
#include <thread>

#include "support/must.h"
#include "test_agent.h"

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

}  // namespace

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

TEST_CASE("a directory that agentfs took the last name from is left behind, and told of as such") {
  Agent agent;
  TestRequest host(10);
  CHECK(agent.tree.files.write(agent.caller, "/work/site/goes/file", "1"));
  CHECK(agent.tree.files.write(agent.caller, "/work/site/stays/file", "1"));
  const TreeNodeRef site = test::must(agent.store->lookup(*agent.store->root(), "site")).node;
  std::vector<TreeNodeRef> directories;
  std::vector<std::uint64_t> ids{4711};  // of what nobody knows any more
  for (const char* const name : {"goes", "stays"}) {
    directories.push_back(test::must(agent.store->lookup(*site, name)).node);
    const Found found = agent.tree.get(host, fmt::format("/work/site/{}", name));
    ids.push_back(agent.tree.channel->remember(found.node));
  }
  CHECK(agent.tree.files.remove(agent.caller, "/work/site/goes"));
  CHECK(agent.tree.channel->left_behind(ids).empty());  // the host's kernel was told
  catch_up(agent.tree.services.loop());
  const auto told = std::make_shared<Told>(agent.tree.services.loop());
  agent.tree.channel->set_invalidator(told);
  agent.tree.files.links_changed("/work/site", {directories[1]});
  agent.tree.files.links_changed("/work/site", directories);
  catch_up(agent.tree.services.loop());
  agent.tree.channel->set_invalidator(nullptr);
  CHECK(told->announced == std::vector<std::string>{"/work/site"});
  const std::vector<NodeRef> left = agent.tree.channel->left_behind(ids);
  REQUIRE(left.size() == 1);
  CHECK(agent.tree.channel->known(left.front().get()) == ids[1]);
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

}  // namespace agentfs::vfs
