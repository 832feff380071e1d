// SPDX-License-Identifier: MIT
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "catch.h"
#include "kernel/kinds.h"
#include "kernel/metrics.h"
#include "support/temporary.h"
#include "support/test_kernel.h"

namespace agentfs {
namespace {

using Catch::Matchers::has;
using test::about;
using test::Answer;
using test::eventually;
using test::TemporaryDirectory;
using test::TestKernel;

TEST_CASE("a restart finds everything, and marks what was in flight") {
  TestKernel t;
  const bool store_works = GENERATE(true, false);
  if (!store_works) t.record_faults->fail_call(RecordCall::apply, ENOSPC, 1, 1'000'000);
  const ProcessId pid = t.spawn({.name = "fixer", .task = "do it"});
  REQUIRE(t.commit(kind::kRunBegin, about(pid)));
  REQUIRE(t.commit(kind::kCallBegin, about(pid, {{"tool", "exec"}, {"id", "c1"}})));
  REQUIRE(t.person().call(proc::Send{.process = pid, .text = "and this"}));
  const std::string events = t.kernel().events(pid);
  const int wakes = t.userland.wakes(pid);
  REQUIRE(t.stop_and_start());
  const ProcessRef process = t.process(pid);
  REQUIRE(process);
  CHECK(process->name == "fixer");
  CHECK(process->queued.size() == 1);
  CHECK(t.kernel().events(pid) == events);
  t.kernel().resume();
  const CallRef call = t.process(pid)->calls.at(0);
  CHECK(call->state == Call::State::interrupted);
  CHECK(call->result.starts_with("interrupted: "));
  CHECK(t.process(pid)->messages.back()->text == call->result);
  CHECK(t.userland.wakes(pid) == wakes + 1);
  CHECK(t.spawn({}).value == pid.value + 1);
}

TEST_CASE("a pid is not used again after reaping and a restart") {
  TestKernel t;
  const ProcessId pid = t.spawn({});
  REQUIRE(t.person().call(proc::Signal{.process = pid, .signal = "kill"}));
  REQUIRE(t.person().call(proc::Signal{.process = pid, .signal = "reap"}));
  REQUIRE(t.stop_and_start());
  CHECK(t.spawn({}).value > pid.value);
  CHECK(t.person().call(proc::Send{.process = pid, .text = "x"}).error().code == ESRCH);
  CHECK(t.kernel().get_process(pid).error().code == ENOENT);
}

TEST_CASE("a store that fails is tried again") {
  TestKernel t;
  t.record_faults->fail_call(RecordCall::apply, ENOSPC, 1, 1);
  const ProcessId pid = t.spawn({});
  CHECK(eventually([&] {
    return t.kernel().metrics().value("agentfs_store_failures_total", "") >= 1 &&
           t.store->reached().value() >= t.process(pid)->spawned;
  }));
}

TEST_CASE("two kernels live in one process") {
  TestKernel a;
  TestKernel b;
  const ProcessId pid = a.spawn({.name = "one"});
  CHECK(b.process(pid) == nullptr);
  CHECK(b.spawn({.name = "two"}) == pid);
  CHECK(a.process(pid)->name == "one");
}

TEST_CASE("a wait is cancelled; listeners hear what was committed") {
  TestKernel t;
  const ProcessId pid = t.spawn({.task = "x"});
  const Answer<std::string> answer;
  t.kernel().await_run_end(pid, answer.completion());
  CHECK_FALSE(answer.is_there());
  answer.completion().cancel();
  CHECK(answer.wait().error().code == EINTR);
  std::vector<std::string> heard;
  const auto id = t.kernel().subscribe([&](const Record& record, ProcessId subject) {
    if (subject == pid) heard.push_back(record.kind);
  });
  REQUIRE(t.commit(kind::kRunBegin, about(pid)));
  t.kernel().unsubscribe(id);
  REQUIRE(t.commit(kind::kModelBegin, about(pid)));
  CHECK(heard == std::vector<std::string>{"run.begin"});
}

TEST_CASE("a model's fallbacks are asked in turn, not after a cancel") {
  TestKernel t;
  REQUIRE(t.person().call(sys::SaveDocument{
      .path = "models/first.toml",
      .text = "driver = \"script\"\nscenario = \"/x\"\nfallback = [\"other\", \"default\"]\n"}));
  const auto ask = [&](const Answer<ChatReply>& answer) {
    t.kernel().ask_model("first", {}, nullptr, answer.completion());
  };
  SECTION("the second answers") {
    t.model.reply(fail(EHOSTDOWN, "nobody"));
    t.model.reply(test::text_reply("yes"));
    const Answer<ChatReply> answer;
    ask(answer);
    CHECK(answer.wait()->text == "yes");
    CHECK(answer.wait()->answered_by == "other");
    CHECK(t.model.requests().at(1).settings.name == "other");
  }
  SECTION("nobody answers") {
    for (int i = 0; i < 3; ++i) t.model.reply(fail(ETIMEDOUT, "late {}", i));
    const Answer<ChatReply> answer;
    ask(answer);
    CHECK_THAT(answer.wait().error().message, has("first: late 0; other: late 1; default: late 2"));
  }
  SECTION("it is cancelled") {
    const Answer<ChatReply> answer;
    ask(answer);
    answer.completion().cancel();
    CHECK(answer.wait().error().code == EINTR);
    CHECK(t.model.requests().size() == 1);
  }
}

TEST_CASE("a wrong document is refused with its line, and the old one stays in force") {
  TestKernel t;
  const auto save = [&](const std::string& text) {
    return t.person().call(sys::SaveDocument{.path = "models/x.toml", .text = text});
  };
  REQUIRE(save("base_url = \"https://a.example/v1\"\nusd_per_million_in = 2\n"));
  struct Wrong {
    std::string text;
    std::string says;
  };
  const std::vector<Wrong> all = {
      {"base_url = \"https://a/v1\"\nbase_ur = 1\n", "models/x.toml:2: unknown setting"},
      {"base_url = \"ftp://a\"\n", "base_url cannot be"},
      {"base_url = 3\n", "not a text"},
      {"base_url = \"http://a\"\napi_key = \"s\"\n", "key_file"},
      {"base_url = \"http://a\"\nmax_attempts = 0\n", "1 to 100"},
      {"base_url = \"http://a\"\nfallback = [1]\n", "list of texts"},
      {"base_url = \n", "models/x.toml:1: not TOML"},
      {"stream = true\n", "base_url is missing"},
  };
  for (const Wrong& wrong : all) {
    const Status saved = save(wrong.text);
    INFO(wrong.text);
    REQUIRE_FALSE(saved);
    CHECK(saved.error().code == EBADMSG);
    CHECK_THAT(saved.error().message, has(wrong.says));
  }
  CHECK(t.kernel().configuration().model("x")->usd_per_million_in == 2);
  CHECK(t.person().call(sys::SaveDocument{.path = "../x", .text = ""}).error().code == EINVAL);
  REQUIRE(t.person().call(sys::RemoveDocument{.path = "models/x.toml"}));
  CHECK(t.kernel().configuration().model("x").error().code == ENOENT);
}

TEST_CASE("a home is made once; the owner's is closed, and commands can enter others'") {
  const mode_t mask = ::umask(022);
  TestKernel t;
  const auto mode = [&](uid_t uid) {
    const std::string home = *t.kernel().host_path("/home/" + t.kernel().user_name(uid));
    struct stat attributes{};
    REQUIRE(::stat(home.c_str(), &attributes) == 0);
    return attributes.st_mode & 07777U;
  };
  const uid_t owner = ::geteuid();
  REQUIRE(t.person(owner).process);  // whose first request makes it
  CHECK(mode(owner) == 0700);
  REQUIRE(t.person(owner + 7).process);
  CHECK(mode(owner + 7) == 0700);
  ::umask(mask);
  const std::string home = *t.kernel().host_path("/home/" + t.kernel().user_name(owner));
  REQUIRE(::chmod(home.c_str(), 0750) == 0);
  REQUIRE(t.kernel().make_home(owner, ::getegid()));
  CHECK(mode(owner) == 0750);
}

TEST_CASE("a home that was not made when its user came first is made by the next daemon") {
  TestKernel t;
  const uid_t user = ::geteuid() + 7;
  const std::string home = t.state() + "/trees/home/" + t.kernel().user_name(user);
  REQUIRE(t.person(user).process);
  REQUIRE(::rmdir(home.c_str()) == 0);
  REQUIRE(t.stop_and_start());
  REQUIRE(t.person(user).process);
  struct stat its{};
  REQUIRE(::stat(home.c_str(), &its) == 0);
  CHECK((its.st_mode & 07777U) == 0700);
  CHECK((::geteuid() != 0 || its.st_uid == user));
}

TEST_CASE("a home that root has closed stays root's") {
  if (::geteuid() != 0) return;
  TestKernel t;
  const std::string home = t.state() + "/trees/home/" + t.kernel().user_name(7);
  REQUIRE(t.person(7).process);
  REQUIRE(::chown(home.c_str(), 0, 0) == 0);
  REQUIRE(t.stop_and_start());
  REQUIRE(t.person(7).process);
  struct stat its{};
  REQUIRE(::stat(home.c_str(), &its) == 0);
  CHECK(its.st_uid == 0);
  CHECK(its.st_mode == (S_IFDIR | 0700U));
  const Status made = t.kernel().make_home(7, 7);
  REQUIRE_FALSE(made);
  CHECK_THAT(made.error().message, has("belongs to uid 0"));
}

TEST_CASE("a home comes to its name whole, also where the trees have a disk of their own") {
  TestKernel t;
  // What the state has beside them is on another one.
  const TemporaryDirectory disk("/dev/shm");
  std::filesystem::create_directory_symlink(disk.path(), t.state() + "/staged");
  const UniqueFd watch(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  const std::string homes = t.state() + "/trees/home";
  REQUIRE(::inotify_add_watch(watch.get(), homes.c_str(), IN_CREATE | IN_MOVED_TO) >= 0);
  REQUIRE(t.person(::geteuid() + 7).process);
  alignas(inotify_event) char seen[4096];
  REQUIRE(::read(watch.get(), seen, sizeof seen) > 0);
  const auto* const first = reinterpret_cast<const inotify_event*>(seen);
  CHECK((first->mask & IN_MOVED_TO) != 0);
  CHECK(std::filesystem::is_empty(t.state() + "/trees/.home/staged"));
}

TEST_CASE("metrics are Prometheus text") {
  TestKernel t;
  (void)t.spawn({});
  const std::string text = t.kernel().metrics_text();
  CHECK_THAT(text, has("agentfs_syscalls_total{name=\"proc.spawn\"} 1\n"));
  CHECK_THAT(text, has("agentfs_processes{state=\"idle\"} 2\n"));
  CHECK_THAT(text, has("# TYPE agentfs_journal_sequence counter\n"));
}

}  // namespace
}  // namespace agentfs
