// SPDX-License-Identifier: MIT
// What a command gives back: output, status, and what is left of it afterwards (nothing).
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/text.h"
#include "harness.h"

namespace agentfs {
namespace {

using Catch::Matchers::has;

std::size_t entries(const std::string& directory) {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory)) ++count;
  return count;
}

// Groups of our places, at any depth, in any hierarchy.
std::size_t command_groups() {
  std::size_t count = 0;
  std::error_code ignored;
  using Walk = std::filesystem::recursive_directory_iterator;
  const std::string mine = fmt::format("agentfs-exec.{}.", ::getpid());
  for (auto entry = Walk("/sys/fs/cgroup", ignored); entry != Walk(); entry.increment(ignored)) {
    if (!entry->is_directory(ignored)) continue;
    count += entry->path().parent_path().filename().native().starts_with(mine) ? 1u : 0u;
  }
  return count;
}

TEST_CASE("output of both streams and the exit status come back", "[ordinary]") {
  NEEDS_SANDBOX();
  Harness harness;
  const ExecReply reply = harness.reply("echo one; echo two >&2; echo three >/dev/stderr; exit 7");
  CHECK(reply.output == "one\ntwo\nthree\n");
  CHECK(reply.exit_code == 7);
  CHECK(reply.signal.empty());
  CHECK(reply.ended_by.empty());
  CHECK(reply.dropped_bytes == 0);
}

TEST_CASE("a signal that ends the command is named", "[ordinary]") {
  NEEDS_SANDBOX();
  Harness harness;
  const ExecReply reply = harness.reply("kill -TERM $$");
  CHECK(reply.exit_code == -1);
  CHECK(reply.signal == "TERM");
  CHECK(reply.ended_by.empty());
  CHECK(harness.reply("exit 137").exit_code == 137);
}

TEST_CASE("output is bytes, and standard input is empty", "[ordinary]") {
  NEEDS_SANDBOX();
  Harness harness;
  CHECK(harness.output("printf 'a\\000b\\377\\n'") == std::string("a\0b\377\n", 5));
  CHECK(harness.output("cat; echo end") == "end\n");
}

TEST_CASE("a long command line arrives whole", "[ordinary]") {
  NEEDS_SANDBOX();
  Harness harness;
  const std::string word(60 << 10, 'x');
  CHECK(harness.output("echo " + word) == word + "\n");
  const auto refused = harness.run(harness.request("echo " + std::string(200 << 10, 'x')));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == E2BIG);
}

TEST_CASE("requests that cannot be run are refused with a sentence") {
  NEEDS_SANDBOX();
  Harness harness;
  const auto error_of = [&harness](auto change) {
    ExecRequest request = harness.request("true");
    change(request);
    const auto result = harness.run(std::move(request));
    REQUIRE_FALSE(result);
    return result.error();
  };
  CHECK(error_of([](ExecRequest& r) { r.command = ""; }).code == EINVAL);
  CHECK(error_of([](ExecRequest& r) { r.command += '\0'; }).code == EINVAL);
  CHECK(error_of([](ExecRequest& r) { r.cwd = "site"; }).code == EINVAL);
  CHECK(error_of([](ExecRequest& r) { r.environment = {{"A=B", ""}}; }).code == EINVAL);
  CHECK(error_of([](ExecRequest& r) { r.binds[0].second = "/usr/lib"; }).code == EINVAL);
  CHECK(error_of([](ExecRequest& r) { r.binds[0].second = "/work/../etc"; }).code == EINVAL);
  const Error no_cwd = error_of([](ExecRequest& r) { r.cwd = "/workspaces/site/gone"; });
  CHECK(no_cwd.code == ENOENT);
  CHECK_THAT(no_cwd.message, has("/workspaces/site/gone: No such file"));
  const Error no_bind = error_of([](ExecRequest& r) { r.binds[0].first += "/gone"; });
  CHECK(no_bind.code == ENOENT);
  CHECK_THAT(no_bind.message, has("/gone"));
}

TEST_CASE("the identity is known before the first instruction runs", "[ordinary]") {
  NEEDS_SANDBOX();
  Harness harness;
  const std::string file = harness.directory + "/ran";
  ExecStarted seen;
  bool ran = true;
  auto pending = harness.start(harness.request("touch ran; readlink /proc/self/ns/pid"),
                               [&](const ExecStarted& started) {
                                 seen = started;
                                 ran = file::exists(file);
                               });
  const auto reply = pending.get();
  REQUIRE(reply);
  CHECK_FALSE(ran);
  CHECK(file::exists(file));
  CHECK(seen.host_pid > 1);
  CHECK(reply->output == fmt::format("pid:[{}]\n", seen.pid_namespace));
}

TEST_CASE("files belong to the daemon's user", "[ordinary]") {
  NEEDS_SANDBOX();
  Harness harness;
  CHECK(harness.output("id -u; touch made") == fmt::format("{}\n", ::getuid()));
  struct stat attributes{};
  REQUIRE(::stat((harness.directory + "/made").c_str(), &attributes) == 0);
  CHECK(attributes.st_uid == ::getuid());
}

TEST_CASE("the environment is the request's and no one else's", "[ordinary]") {
  NEEDS_SANDBOX();
  ::setenv("OPENAI_API_KEY", "secret", 1);
  Harness harness;
  ExecRequest request = harness.request("env | sort; echo; tr '\\0' '\\n' </proc/1/environ");
  request.environment = {{"HOME", "/workspaces/site"}, {"GREETING", "two words"}};
  const std::string output = harness.reply(request).output;
  CHECK_THAT(output, has("GREETING=two words\n"));
  CHECK_THAT(output, has("HOME=/workspaces/site\n"));
  CHECK_THAT(output, has("LANG=C.UTF-8\n"));
  CHECK_THAT(output, has("PWD=/workspaces/site\n"));
  CHECK_THAT(output, has("TERM=dumb\n"));
  CHECK_THAT(output, !has("secret") && !has("HOME=/tmp"));
  ::unsetenv("OPENAI_API_KEY");
}

TEST_CASE("the daemon's descriptors do not reach the command") {
  NEEDS_SANDBOX();
  Harness harness;
  const UniqueFd leaky(::open("/etc/hostname", O_RDONLY));  // without O_CLOEXEC, on purpose
  REQUIRE(leaky);
  const std::string listing = "cd /proc/self/fd; for f in *; do readlink $f; done";
  for (const bool sandbox : {true, false}) {
    ExecRequest request = harness.request(listing);
    request.sandbox = sandbox;
    if (!sandbox) request.cwd = harness.directory;
    const std::string output = harness.reply(request).output;
    CHECK_THAT(output, !has("hostname") && !has("socket:") && !has("memfd") && !has("pidfd"));
  }
}

TEST_CASE("a background child does not keep the reply waiting, and ends", "[ordinary]") {
  NEEDS_SANDBOX();
  Harness harness;
  ExecRequest request = harness.request("sleep 1000 & setsid sleep 1000 & echo done");
  const ExecReply reply = harness.reply(request);
  CHECK(reply.output == "done\n");
  CHECK(reply.ended_by.empty());
  CHECK(reply.elapsed_ms < 10'000);
}

TEST_CASE("nothing is left of fifty commands", "[ordinary]") {
  NEEDS_SANDBOX();
  Harness harness;
  harness.output("true");
  const std::size_t before = entries("/proc/self/fd");
  for (int i = 0; i < 50; ++i) CHECK(harness.reply("exit 3").exit_code == 3);
  // The reply comes before the last bookkeeping, on the event thread.
  CHECK(eventually([] { return command_groups() == 0; }));
  // That of the first one may still have been to come when they were counted.
  CHECK(eventually([before] { return entries("/proc/self/fd") <= before; }));
  CHECK_FALSE(has_children());
}

TEST_CASE("fifty commands at once", "[ordinary]") {
  NEEDS_SANDBOX();
  Harness harness;
  std::vector<Harness::Pending> pending;
  for (int i = 0; i < 50; ++i) {
    pending.push_back(harness.start(harness.request(fmt::format("echo {}; exit {}", i, i))));
  }
  for (int i = 0; i < 50; ++i) {
    const auto reply = pending[static_cast<std::size_t>(i)].get();
    REQUIRE(reply);
    CHECK(reply->output == fmt::format("{}\n", i));
    CHECK(reply->exit_code == i);
  }
}

// Puts a program named bwrap in front of the real one while it lives.
class FakeBubblewrap {
 public:
  FakeBubblewrap(const std::string& directory, std::string_view script)
      : path_(std::getenv("PATH") == nullptr ? "" : std::getenv("PATH")) {
    REQUIRE(file::replace(directory + "/bwrap", script, 0755));
    ::setenv("PATH", (directory + ":" + path_).c_str(), 1);
  }
  ~FakeBubblewrap() { ::setenv("PATH", path_.c_str(), 1); }
  FakeBubblewrap(const FakeBubblewrap&) = delete;
  FakeBubblewrap& operator=(const FakeBubblewrap&) = delete;

 private:
  const std::string path_;
};

TEST_CASE("where no sandbox can be made the command is refused, not run") {
  Harness harness;
  const FakeBubblewrap fake(harness.directory,
                            "#!/bin/sh\n"
                            "[ \"$1\" = --version ] && echo bubblewrap 0.8.0 && exit\n"
                            "echo 'bwrap: No permissions to create new namespace' >&2; exit 1\n");
  harness.driver.reset();
  harness.driver = std::make_unique<SandboxDriver>(harness.loop, kProgram);
  bool started = false;
  auto pending = harness.start(harness.request("touch ran"),
                               [&started](const ExecStarted&) { started = true; });
  const auto result = pending.get();
  REQUIRE_FALSE(result);
  CHECK(result.error().code == EPERM);
  CHECK_THAT(result.error().message,
             has("No permissions to create new namespace") && has("agentfs doctor"));
  CHECK_FALSE(started);
  CHECK_FALSE(file::exists(harness.directory + "/ran"));
  const auto checks = probe_sandbox(kProgram).checks;
  CHECK_FALSE(checks[2].ok);
  CHECK_THAT(checks[2].text, has("No permissions"));
}

TEST_CASE("without agentfs-sandbox the sentence names it") {
  EventLoop loop;
  SandboxDriver driver(loop, "/nowhere/agentfs-sandbox");
  std::promise<Result<ExecReply>> promise;
  ExecRequest request;
  request.command = "true";
  request.cwd = "/";
  driver.start(request, {}, Completion<ExecReply>([&promise](Result<ExecReply> result) {
                 promise.set_value(std::move(result));
               }));
  const auto result = promise.get_future().get();
  REQUIRE_FALSE(result);
  CHECK_THAT(result.error().message, has("/nowhere/agentfs-sandbox"));
}

TEST_CASE("a driver that ends takes its commands with it", "[ordinary]") {
  NEEDS_SANDBOX();
  Harness harness;
  std::promise<void> running;
  auto pending = harness.start(harness.request("sleep 1000"),
                               [&running](const ExecStarted&) { running.set_value(); });
  running.get_future().wait();
  harness.driver.reset();
  const auto reply = pending.get();
  REQUIRE(reply);
  CHECK(reply->ended_by == "cancel");
  CHECK_FALSE(has_children());
}

TEST_CASE("the report names what was found") {
  const SandboxReport report = probe_sandbox(kProgram);
  REQUIRE(report.checks.size() == 5);
  for (const SandboxCheck& check : report.checks) {
    CHECK_FALSE(check.name.empty());
    CHECK_FALSE(check.text.empty());
    CHECK((check.ok || !check.advice.empty()));
  }
  const SandboxReport broken = probe_sandbox("/nowhere/agentfs-sandbox");
  CHECK_FALSE(broken.ok());
}

}  // namespace
}  // namespace agentfs
