// SPDX-License-Identifier: MIT
// Two agents' commands that counted a file up by read, write and rename, and began anew at ESTALE,
// lost up to a third of what they counted.
#include <fcntl.h>
#include <unistd.h>

#include <future>

#include "catch.h"
#include "fs/vfs/data_file.h"
#include "kernel/refused_writes.h"
#include "kernel/stale_writes.h"
#include "support/must.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

// A command of an agent, as the host's kernel asks for it.
class Command final : public vfs::Request {
 public:
  explicit Command(Caller caller) : caller_(std::move(caller)) {}
  const HostCaller& host() const override { return host_; }
  const Caller& caller() const override { return caller_; }
  Result<Caller> writer() const override {
    if (on_change) on_change();
    return caller_;
  }
  TreeCaller tree() const override { return {.pid = ::getpid()}; }
  bool may_block() const override { return true; }

  std::function<void()> on_change;  // it is about to change something

 private:
  HostCaller host_;
  Caller caller_;
};

struct Site {
  Site() {
    world.kernel().stale_writes().count_commands(2);
    top = world.get(kSite);
    make("count", "7");
  }
  Caller agent() {
    return world.kernel().agent(world.base().spawn({.workspace = "site"}), "call:1");
  }
  void make(const std::string& name, std::string_view text) {
    const auto made = must(top->create(world.request(), name, O_WRONLY, 0644));
    CHECK(write_once(world.request(), *made.opened.handle, text) == 0);
    made.opened.handle->release();
  }
  vfs::NodeRef file(const std::string& name) { return world.get(kSite + "/" + name); }
  static int open(Command& by, vfs::Node& file, int flags = O_RDONLY) {
    const auto opened = file.open(by, flags);
    if (opened) opened->handle->release();
    return opened ? 0 : opened.error().code;
  }
  // Another text gets the name.
  int replace(Command& by, std::string_view text = "8") {
    make("new", text);
    const Status done = top->rename(by, "new", *top, "count", 0);
    return done ? 0 : done.error().code;
  }

  TreeWorld world;
  Command a{agent()};
  Command b{agent()};
  vfs::NodeRef top;
};

TEST_CASE("What another has renamed there is renamed over by nobody who has not seen it") {
  Site site;
  const auto kept = [&] {
    return site.world.kernel().refused_writes().all(site.world.request().caller()).size();
  };
  const std::size_t before = kept();
  for (Command* const one : {&site.a, &site.b}) CHECK(Site::open(*one, *site.file("count")) == 0);
  CHECK(site.replace(site.a) == 0);
  CHECK(site.replace(site.b) == ESTALE);  // with the same bytes: counted up from the same number
  CHECK(kept() == before);
  CHECK(Site::open(site.b, *site.file("count")) == 0);
  CHECK(site.replace(site.b) == 0);
}

// The host's kernel goes by the name that it knows until the rename is answered.
TEST_CASE("Who opens a file whose name another has by then has not seen that one") {
  Site site;
  const vfs::NodeRef before = site.file("count");
  CHECK(site.replace(site.a) == 0);
  CHECK(Site::open(site.b, *before) == 0);
  CHECK(site.replace(site.b, "8 of b") == ESTALE);
  CHECK(Site::open(site.b, *site.file("count")) == 0);
  CHECK(site.replace(site.b, "9 of b") == 0);
}

TEST_CASE("Who empties a file whose name another has by then is to look it up again") {
  Site site;
  CHECK(Site::open(site.b, *site.file("count")) == 0);
  const vfs::NodeRef before = site.file("count");
  CHECK(site.replace(site.a) == 0);
  CHECK(Site::open(site.b, *before, O_WRONLY | O_TRUNC) == ESTALE);
}

TEST_CASE("What comes while a command waits for its turn counts") {
  using Way = std::function<int(Site&, Command&)>;
  const auto code = [](const auto& done) { return done ? 0 : done.error().code; };
  const std::vector<Way> ways = {
      [&](Site& site, Command& by) {
        return code(site.top->rename(by, "other", *site.top, "count", 0));
      },
      [&](Site& site, Command& by) { return code(site.top->unlink(by, "count")); },
      [&](Site& site, Command& by) {
        return code(site.file("count")->open(by, O_WRONLY | O_TRUNC));
      },
      [&](Site& site, Command& by) {
        SetAttributes empty{.which = SetAttributes::size};
        return code(site.file("count")->set_attributes(by, nullptr, empty));
      },
  };
  for (const Way& way : ways) {
    Site site;
    site.make("other", "8 of b");
    CHECK(Site::open(site.b, *site.file("count")) == 0);
    std::promise<void> waits;
    site.b.on_change = [&] { waits.set_value(); };
    std::future<int> done;
    {
      auto& directory = dynamic_cast<vfs::DataNode&>(*site.top);
      const std::string name = "count";
      const vfs::ChangeOrder::Turn turn(directory.tree().order(), directory.naming(name));
      done = std::async(std::launch::async, [&] { return way(site, site.b); });
      waits.get_future().wait();
      const auto opened = must(site.file("count")->open(site.a, O_WRONLY));
      CHECK(write_once(site.a, *opened.handle, "8") == 0);
      opened.handle->release();
    }
    CHECK(done.get() == ESTALE);
  }
}

}  // namespace
}  // namespace agentfs::test
