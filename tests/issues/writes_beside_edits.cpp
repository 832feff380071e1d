// SPDX-License-Identifier: MIT
// What others wrote to a file between an agent's look at it and the rename of its edit was gone
// from the file, though write(2) had succeeded, and nobody was told.
#include <fcntl.h>
#include <sys/stat.h>

#include "catch.h"
#include "fs/vfs/wait_for.h"
#include "kernel/syscalls/fs.h"
#include "kernel/syscalls/gate.h"
#include "support/must.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

const std::string kPath = "/workspaces/site/log";

class Log {
 public:
  explicit Log(TreeWorld& world) : world_(world), at_(world.base().state() + "/trees" + kPath) {
    auto made = world.get("/workspaces/site")->create(world.request(), "log", O_WRONLY, 0644);
    REQUIRE(made);
    handle_ = made->opened.handle;
    append("one\n");
  }
  ~Log() { handle_->release(); }
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  std::string text() const { return must(file::read(at_)); }
  // Over what is there, which stays as long as it is.
  void overwrite(std::string_view text) {
    REQUIRE(vfs::wait_for<std::size_t>([&](Completion<std::size_t> done) {
      handle_->write(world_.request(), 0, text, std::move(done));
    }));
  }
  // By a descriptor that stays open.
  void append(std::string_view line) {
    const auto end = static_cast<off_t>(text().size());
    REQUIRE(vfs::wait_for<std::size_t>([&](Completion<std::size_t> done) {
      handle_->write(world_.request(), end, line, std::move(done));
    }));
  }

 private:
  TreeWorld& world_;
  const std::string at_;
  std::shared_ptr<vfs::Handle> handle_;
};

TEST_CASE("An edit is made anew of what was written meanwhile, and loses none of it") {
  TreeWorld world;
  Log log(world);
  const ProcessId pid = world.base().spawn({.workspace = "site"});
  const Caller agent = world.kernel().agent(pid, "call:1");
  int times = 0;
  const auto edited = [&]() -> Result<std::string> {
    std::string whole = TRY(world.files().read(agent, kPath, 0, 0));
    if (++times < 3) log.append("meanwhile\n");
    return "edited\n" + whole;
  };
  CHECK(world.files().edit(agent, kPath, edited));
  CHECK(times == 3);
  CHECK(log.text() == "edited\none\nmeanwhile\nmeanwhile\n");
}

TEST_CASE("An edit of what is written all the time is refused, and nothing is lost") {
  TreeWorld world;
  Log log(world);
  const ProcessId pid = world.base().spawn({.workspace = "site"});
  const Caller agent = world.kernel().agent(pid, "call:1");
  std::string all = log.text();
  const Status refused = world.files().edit(agent, kPath, [&]() -> Result<std::string> {
    (void)TRY(world.files().read(agent, kPath, 0, 0));
    log.append("again\n");
    all += "again\n";
    return std::string("edited\n");
  });
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == EBUSY);
  CHECK(log.text() == all);
  for (const auto& item : world.items(*world.get("/workspaces/site"))) {
    CHECK_FALSE(item.name.starts_with(".agentfs-"));
  }
}

// On disks whose times go by the tick, it has the times of before.
TEST_CASE("An edit is made anew also of what is as long as before") {
  TreeWorld world;
  Log log(world);
  const ProcessId pid = world.base().spawn({.workspace = "site"});
  const Caller agent = world.kernel().agent(pid, "call:1");
  log.overwrite("two");
  int times = 0;
  CHECK(world.files().edit(agent, kPath, [&]() -> Result<std::string> {
    std::string whole = TRY(world.files().read(agent, kPath, 0, 0));
    if (++times == 1) log.overwrite("six");
    return whole + "edited\n";
  }));
  CHECK(times == 2);
  CHECK(log.text() == "six\nedited\n");
}

TEST_CASE("What was made by another name since an edit began is not replaced unseen") {
  TreeWorld world;
  const ProcessId pid = world.base().spawn({.workspace = "site"});
  const Caller agent = world.kernel().agent(pid, "call:1");
  std::optional<Log> log;
  int times = 0;
  CHECK(world.files().edit(agent, kPath, [&]() -> Result<std::string> {
    ++times;
    if (!log) log.emplace(world);
    return times == 1 ? "made\n" : TRY(world.files().read(agent, kPath, 0, 0)) + "edited\n";
  }));
  CHECK(times == 2);
  CHECK(log->text() == "one\nedited\n");
}

}  // namespace
}  // namespace agentfs::test
