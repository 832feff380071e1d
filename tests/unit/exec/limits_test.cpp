// SPDX-License-Identifier: MIT
// How commands are ended, and by what.
#include <signal.h>
#include <sys/wait.h>

#include "backends/exec/cgroups.h"
#include "base/file.h"
#include "base/spawn.h"
#include "base/text.h"
#include "harness.h"

namespace agentfs {
namespace {

// Processes of this machine whose command line holds a word that only the test knows.
std::size_t processes_with(const std::string& word) {
  std::size_t count = 0;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    if (!text::number<int>(entry.path().filename().native())) continue;
    const auto line = file::read(entry.path().native() + "/cmdline");
    count += line && line->contains(word) ? 1u : 0u;
  }
  return count;
}

// A number of seconds that no other process of the machine sleeps.
std::string rare_number(int salt, pid_t pid = ::getpid()) {
  return fmt::format("{}.{}{}", 4321, pid, salt);
}

// A child, a grandchild in a session of its own, and one whose parent has ended.
std::string family(const std::string& seconds) {
  return fmt::format(
      "sleep {0} & setsid sleep {0} & (setsid sh -c 'sleep {0} & sleep {0}' &) ; echo up; "
      "sleep {0}",
      seconds);
}

constexpr std::size_t kFamily = 5;

std::size_t sleepers(const std::string& seconds) {
  return processes_with(std::string("sleep\0", 6) + seconds);
}

ExecRequest request_for(const Harness& harness, bool sandbox, std::string command) {
  ExecRequest request = harness.request(std::move(command));
  request.sandbox = sandbox;
  if (!sandbox) request.cwd = harness.directory;
  return request;
}

TEST_CASE("a timeout kills every descendant", "[ordinary]") {
  NEEDS_SANDBOX();
  Harness harness;
  for (const bool sandbox : {true, false}) {
    INFO("sandbox " << sandbox);
    const std::string seconds = rare_number(sandbox ? 1 : 2);
    ExecRequest request = request_for(harness, sandbox, family(seconds));
    request.limits.timeout_ms = 700;
    const ExecReply reply = harness.reply(request);
    CHECK(reply.ended_by == "timeout");
    CHECK(reply.signal == "KILL");
    CHECK(reply.exit_code == -1);
    CHECK(reply.output == "up\n");
    CHECK(reply.elapsed_ms >= 700);
    CHECK(processes_with(seconds) == 0);
  }
}

TEST_CASE("a cancel kills every descendant and keeps the output so far", "[ordinary]") {
  NEEDS_SANDBOX();
  Harness harness;
  for (const bool sandbox : {true, false}) {
    INFO("sandbox " << sandbox);
    const std::string seconds = rare_number(sandbox ? 3 : 4);
    auto pending = harness.start(request_for(harness, sandbox, family(seconds)));
    REQUIRE(eventually([&seconds] { return sleepers(seconds) == kFamily; }));
    pending.completion.cancel();
    const auto reply = pending.get();
    REQUIRE(reply);
    CHECK(reply->ended_by == "cancel");
    CHECK(reply->output == "up\n");
    CHECK(processes_with(seconds) == 0);
  }
}

// Run by the next test in a process of its own, which that kills.
TEST_CASE("a daemon with two running commands", "[.daemon]") {
  Harness harness;
  auto confined = harness.start(request_for(harness, true, family(rare_number(6))));
  auto plain = harness.start(request_for(harness, false, family(rare_number(6))));
  confined.get();
  plain.get();
}

TEST_CASE("the death of the daemon kills every descendant", "[ordinary]") {
  NEEDS_SANDBOX();
  const test::TemporaryDirectory place;  // what the daemon makes is ours to remove
  const auto daemon = spawn({"/usr/bin/env", "TMPDIR=" + place.path(),
                             std::filesystem::read_symlink("/proc/self/exe"), "[.daemon]"},
                            {});
  REQUIRE(daemon);
  const std::string seconds = rare_number(6, daemon->pid);
  CHECK(eventually([&seconds] { return sleepers(seconds) == 2 * kFamily; }));
  send_signal(daemon->process, SIGKILL);
  REQUIRE(::waitpid(daemon->pid, nullptr, 0) == daemon->pid);
  CHECK(eventually([&seconds] { return processes_with(seconds) == 0; }));
}

TEST_CASE("a cancel before the beginning is EINTR, and nothing runs", "[ordinary]") {
  NEEDS_SANDBOX();
  Harness harness;
  std::promise<void> gate;
  harness.loop.post([entered = gate.get_future().share()] { entered.wait(); });
  auto pending = harness.start(harness.request("touch ran"));
  pending.completion.cancel();
  gate.set_value();
  const auto reply = pending.get();
  REQUIRE_FALSE(reply);
  CHECK(reply.error().code == EINTR);
  CHECK_FALSE(file::exists(harness.directory + "/ran"));
}

TEST_CASE("output beyond the limit is counted, and a flood is ended", "[ordinary]") {
  NEEDS_SANDBOX();
  Harness harness;
  ExecRequest some = harness.request("head -c 300000 /dev/zero; echo end >kept");
  some.limits.output_bytes = 100'000;
  const ExecReply reply = harness.reply(some);
  CHECK(reply.output.size() == 100'000);
  CHECK(reply.dropped_bytes == 200'000);
  CHECK(reply.ended_by.empty());
  CHECK(reply.exit_code == 0);
  ExecRequest flood = harness.request("cat /dev/zero");
  flood.limits.output_bytes = 100'000;
  const ExecReply ended = harness.reply(flood);
  CHECK(ended.ended_by == "output");
  CHECK(ended.output.size() == 100'000);
}

TEST_CASE("memory is bounded", "[ordinary]") {
  NEEDS_SANDBOX();
  Harness harness;
  ExecRequest request = harness.request("perl -e '$x = q(x) x (400 << 20); print length $x'");
  request.limits.memory_bytes = 100 << 20;
  const ExecReply reply = harness.reply(request);
  CHECK(reply.exit_code != 0);
  CHECK(reply.output.find("419430400") == std::string::npos);
  if (limits_by_cgroup()) CHECK(reply.ended_by == "memory");
}

TEST_CASE("files in /tmp count as memory") {
  NEEDS_SANDBOX();
  Harness harness;
  ExecRequest request = harness.request("head -c 400000000 /dev/zero >/tmp/big");
  request.limits.memory_bytes = 64 << 20;
  CHECK(harness.reply(request).exit_code != 0);
}

TEST_CASE("a fork bomb is bounded", "[ordinary]") {
  NEEDS_SANDBOX();
  if (::getuid() == 0 && !limits_by_cgroup()) {
    WARN("SKIPPED: nothing here bounds the processes of root");
    return;
  }
  Harness harness;
  // First something harmless shows that the limit holds; it is a loop of a hundred, no bomb.
  ExecRequest request =
      harness.request("i=0; while [ $i -lt 100 ]; do sleep 5 & i=$((i+1)); done; echo all");
  request.limits.processes = 20;
  request.limits.timeout_ms = 5000;
  const ExecReply first = harness.reply(request);
  REQUIRE(first.exit_code != 0);
  REQUIRE(first.output.find("all") == std::string::npos);
  request.command = "[ $$ -le 8 ] || exit 99; b() { b | b & }; b; sleep 20";
  request.limits.timeout_ms = 1000;
  const ExecReply bomb = harness.reply(request);
  CHECK(bomb.exit_code != 99);
  CHECK(harness.output("echo fine") == "fine\n");
}

TEST_CASE("the size of a file is bounded", "[ordinary]") {
  NEEDS_SANDBOX();
  Harness harness;
  ExecRequest request = harness.request("head -c 2000000 /dev/zero >big; exit 4");
  request.limits.file_bytes = 1'000'000;
  CHECK(harness.reply(request).exit_code == 4);
  CHECK(std::filesystem::file_size(harness.directory + "/big") == 1'000'000);
}

TEST_CASE("without a sandbox a command is run plainly, and wholly ended") {
  Harness harness;
  const std::string seconds = rare_number(5);
  ExecRequest request = request_for(
      harness, false,
      fmt::format("pwd; echo $HOME; ulimit -c; sleep {0} & (setsid sleep {0} &); exit 6", seconds));
  ExecStarted seen;
  auto pending = harness.start(request, [&seen](const ExecStarted& started) { seen = started; });
  const auto reply = pending.get();
  REQUIRE(reply);
  CHECK(reply->output == harness.directory + "\n/tmp\n0\n");
  CHECK(reply->exit_code == 6);
  CHECK(seen.host_pid > 1);
  CHECK(seen.pid_namespace == 0);
  CHECK(processes_with(seconds) == 0);
}

TEST_CASE("a place for cgroups is found from the system's own words") {
  Harness harness;
  const std::string root = harness.directory + "/cg";
  std::filesystem::create_directories(root + "/user/daemon");
  const auto places = exec::find_cgroup_places(
      fmt::format("35 31 0:32 / {} rw,relatime - cgroup cgroup rw,memory\n", root),
      "5:pids:/\n4:memory:/user/daemon\n");
  CHECK(places.pids.empty());
  CHECK(places.unified.empty());
  CHECK(places.memory.starts_with(root + "/user/daemon/agentfs-exec."));
  CHECK(places.limits_memory());
  CHECK_FALSE(places.limits_processes());
  exec::remove_cgroup_places(places);
  CHECK_FALSE(file::exists(places.memory));
}

TEST_CASE("places of daemons that are gone are removed, those of the living stay") {
  Harness harness;
  const std::string root = harness.directory + "/cg";
  const std::string stale = root + "/agentfs-exec.1.99999999999.1";
  std::filesystem::create_directories(stale + "/7");
  const std::string other = root + "/agentfs-else";
  std::filesystem::create_directories(other);
  const std::string info = fmt::format("1 1 0:1 / {} rw - cgroup cgroup rw,memory,pids\n", root);
  const auto first = exec::find_cgroup_places(info, "4:memory,pids:/\n");
  CHECK_FALSE(file::exists(stale));
  CHECK(file::exists(other));
  const auto second = exec::find_cgroup_places(info, "4:memory,pids:/\n");
  CHECK(file::exists(first.memory));
  CHECK(first.memory != second.memory);
}

TEST_CASE("a place whose owner has another pid namespace is nobody's to sweep") {
  Harness harness;
  const std::string root = harness.directory + "/cg";
  std::filesystem::create_directories(root);
  const std::string info = fmt::format("1 1 0:1 / {} rw - cgroup cgroup rw,memory,pids\n", root);
  auto theirs = exec::find_cgroup_places(info, "4:memory,pids:/\n");
  // As it looks from a container, where no process has the number in the name.
  const std::string renamed = root + "/agentfs-exec.999999999.5";
  std::filesystem::rename(theirs.memory, renamed);
  const auto ours = exec::find_cgroup_places(info, "4:memory,pids:/\n");
  CHECK(file::exists(renamed));
  theirs.locks.clear();
  const auto later = exec::find_cgroup_places(info, "4:memory,pids:/\n");
  CHECK_FALSE(file::exists(renamed));
  CHECK(file::exists(ours.memory));
}

TEST_CASE("version 2 needs both controllers, given to the children") {
  Harness harness;
  const std::string root = harness.directory + "/cg";
  std::filesystem::create_directories(root + "/app/daemon");
  const std::string info = fmt::format("1 1 0:1 / {} rw - cgroup2 cgroup2 rw\n", root);
  REQUIRE(file::replace(root + "/cgroup.subtree_control", "cpu pids\n"));
  CHECK(exec::find_cgroup_places(info, "0::/app/daemon\n").unified.empty());
}

}  // namespace
}  // namespace agentfs
