// SPDX-License-Identifier: MIT
#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "catch.h"
#include "kernel/gitignore.h"
#include "kernel/syscalls/table.h"
#include "support/test_kernel.h"

namespace agentfs {
namespace {

using Catch::Matchers::has;
using test::Answer;
using test::TestKernel;

struct Tools : TestKernel {
  Tools() {
    agent = spawn({.workspace = "site"});
    caller = kernel().agent(agent, "call:1");
  }
  Result<std::string> search(const fs::Search& wanted) {
    const Answer<std::string> answer;
    caller.start(wanted, answer.completion());
    return answer.wait();
  }
  ProcessId agent;
  Caller caller;
};

TEST_CASE("gitignore rules: names, anchors, directories, negation, classes, nesting") {
  GitIgnore rules;
  rules.add(
      "",
      "# comment\n*.o\n/build/\ndoc/**/draft-?.txt\n!keep.o\ntrash \\#x\n[ab]z\n**/gen\nout/**\n");
  CHECK(rules.is_ignored("a/b/c.o", false));
  CHECK_FALSE(rules.is_ignored("a/keep.o", false));
  CHECK(rules.is_ignored("build", true));
  CHECK_FALSE(rules.is_ignored("build", false));
  CHECK_FALSE(rules.is_ignored("a/build", true));
  CHECK(rules.is_ignored("doc/draft-1.txt", false));
  CHECK(rules.is_ignored("doc/x/y/draft-1.txt", false));
  CHECK_FALSE(rules.is_ignored("doc/draft-12.txt", false));
  CHECK(rules.is_ignored("az", false));
  CHECK_FALSE(rules.is_ignored("cz", false));
  CHECK(rules.is_ignored("x/gen", true));
  CHECK(rules.is_ignored("out/a", false));
  CHECK_FALSE(rules.is_ignored("out", true));
  rules.add("a", "!c.o\n/top\n");
  CHECK_FALSE(rules.is_ignored("a/b/c.o", false));
  CHECK(rules.is_ignored("a/top", false));
  CHECK_FALSE(rules.is_ignored("top", false));
  CHECK(glob_matches("a[[:upper:][:digit:]]c", "aXc"));
  CHECK(glob_matches("a[[:upper:][:digit:]]c", "a7c"));
  CHECK_FALSE(glob_matches("a[[:upper:][:digit:]]c", "axc"));
  CHECK(glob_matches("[^[:space:]]", "x"));
  CHECK_FALSE(glob_matches("[[:none:]]", "x"));
  CHECK(glob_matches("a/***/f", "a/b/c/f"));
  CHECK(glob_matches("a/***/f", "a/f"));
  CHECK_FALSE(glob_matches(std::string(200, '*') + "b", std::string(200, 'a')));
}

TEST_CASE("fs.read gives ranges and says how long the file is") {
  Tools t;
  t.paths.put("/workspaces/site/a.txt", "one\ntwo\nthree\n");
  CHECK(t.caller.call(fs::Read{.path = "a.txt"}) == "one\ntwo\nthree\n");
  CHECK(t.caller.call(fs::Read{.path = "../site/./a.txt", .first_line = 2, .lines = 1}) ==
        "two\n# lines 2 to 2; the file has 3 lines\n");
  CHECK_THAT(t.caller.call(fs::Read{.path = "a.txt", .first_line = 4}).error().message,
             has("3 lines"));
  CHECK(t.caller.call(fs::Read{.path = "b.txt"}).error().code == ENOENT);
}

TEST_CASE("fs.edit wants exactly one place, and helps to find it") {
  Tools t;
  const std::string path = "/workspaces/site/m.c";
  t.paths.put(path, "int main() {\n  return 1;\n}\nint more() {\n  return 1;\n}\n");
  const auto edit = [&](std::string from, std::string to, std::optional<bool> all = std::nullopt) {
    return t.caller.call(fs::Edit{.path = "m.c", .old_text = from, .new_text = to, .all = all});
  };
  CHECK_THAT(edit("int main( ) {", "x").error().message, has("1: int main() {"));
  CHECK_THAT(edit("return 1;", "x").error().message, has("lines 2, 5"));
  CHECK_THAT(edit("zzzzqqqq", "x").error().message, has("nor anything like it"));
  REQUIRE(edit("main() {\n  return 1;", "main() {\n  return 0;"));
  REQUIRE(edit("return", "RETURN", true));
  CHECK(t.paths.get(path) == "int main() {\n  RETURN 0;\n}\nint more() {\n  RETURN 1;\n}\n");
}

TEST_CASE("fs.search honours .gitignore, skips binaries and is bounded") {
  Tools t;
  t.paths.put("/workspaces/site/.gitignore", "out/\n");
  t.paths.put("/workspaces/site/a.c", "int x;\nfoo(1)\nfoo(22)\n");
  t.paths.put("/workspaces/site/out/b.c", "foo(3)\n");
  t.paths.put("/workspaces/site/.git/config", "foo(4)\n");
  t.paths.put("/workspaces/site/bin", std::string("foo(5)\0", 7));
  t.paths.put("/workspaces/site/sub/c.h", "foo(6)\n");
  const auto found = t.search({.pattern = "foo\\([0-9]+\\)"});
  REQUIRE(found);
  CHECK_THAT(*found, has("a.c:2:foo(1)\na.c:3:foo(22)\nsub/c.h:1:foo(6)\n"));
  CHECK(found->find("foo(3)") == std::string::npos);
  CHECK(found->find("foo(4)") == std::string::npos);
  CHECK_THAT(*found, has("1 files skipped"));
  CHECK_THAT(*t.search({.pattern = "foo", .limit = 1}), has("stopped at 1 lines"));
  CHECK_THAT(*t.search({.pattern = "foo", .files = "*.h"}), has("sub/c.h:1"));
  CHECK(t.search({.pattern = "("}).error().code == EINVAL);
}

TEST_CASE("fs.search follows no .gitignore that is large") {
  Tools t;
  t.paths.put("/workspaces/site/a.c", "foo(1)\n");
  t.paths.put("/workspaces/site/.gitignore", "a.c\n" + std::string((1u << 20) - 5, '#') + "\n");
  CHECK_THAT(*t.search({.pattern = "foo"}), has("no line matches"));
  t.paths.put("/workspaces/site/.gitignore", "a.c\n" + std::string(1u << 20, '#') + "\n");
  CHECK_THAT(*t.search({.pattern = "foo"}),
             has("a.c:1:foo(1)\n") && has("# .gitignore is larger than 1048576 bytes"));
}

TEST_CASE("fs.search ends when it is cancelled, and tells how far it came when it is late") {
  Tools t;
  for (const char* const name : {"a.c", "b.c", "c.c"}) {
    t.paths.put(std::string("/workspaces/site/") + name, "foo(1)\nfoo(2)\n");
  }
  const Answer<std::string> cancelled;
  const auto completion = cancelled.completion();
  completion.cancel();
  t.caller.start(fs::Search{.pattern = "foo"}, completion);
  CHECK(cancelled.wait().error().code == EINTR);
  t.paths.on_read([&](const std::string& path) {
    if (path.ends_with("b.c")) t.clock.advance(31'000'000'000);
  });
  const auto late = t.search({.pattern = "foo"});
  REQUIRE(late);
  CHECK_THAT(*late, has("a.c:2:foo(2)\n# stopped after 30 s, in file 2 (b.c)"));
}

TEST_CASE("fs.search finds what is in lines that are not UTF-8") {
  Tools t;
  t.paths.put("/workspaces/site/a.ini", "name=\xE4 value\n");
  CHECK_THAT(*t.search({.pattern = "name.*value"}), has("a.ini:1:name="));
  CHECK_THAT(t.search({.pattern = "\\<name"}).error().message, has("\\b"));
}

TEST_CASE("fs.write tells what it did; changes reach the turn's commit") {
  Tools t;
  CHECK_THAT(*t.caller.call(fs::Write{.path = "n.txt", .text = "abc"}), has("created"));
  CHECK_THAT(*t.caller.call(fs::Write{.path = "n.txt", .text = "abcd"}), has("4 bytes"));
  REQUIRE(t.caller.call(fs::Delete{.path = "n.txt"}));
  t.paths.put("/workspaces/site/.git/x", "");
  REQUIRE(t.kernel().record_change(t.caller,
                                   {.operation = "write", .path = "/workspaces/site/.git/x"}));
  const auto commit = t.kernel().commit_turn(t.agent, 1);
  REQUIRE(commit);
  REQUIRE(t.repository.commits().size() == 1);
  CHECK(t.repository.commits()[0].changed == std::vector<std::string>{"n.txt"});
  CHECK(t.kernel().commit_turn(t.agent, 2) == "");
  t.repository.fail_next({EIO, "disk"});
  REQUIRE(t.caller.call(fs::Write{.path = "o.txt", .text = "x"}));
  CHECK(t.kernel().commit_turn(t.agent, 2).error().code == EIO);
  CHECK(t.kernel().commit_turn(t.agent, 2).value() != "");  // nothing was forgotten
}

TEST_CASE("a turn's commit holds what its agent did; what others did is theirs") {
  Tools t;
  const auto change = [&](const Caller& author, const std::string& name) {
    REQUIRE(t.kernel().record_change(author,
                                     {.operation = "write", .path = "/workspaces/site/" + name}));
  };
  change(t.person(), "theirs.txt");
  CHECK(t.kernel().commit_turn(t.agent, 1) == "");  // the agent has changed nothing
  CHECK(t.repository.commits().empty());
  change(t.caller, "own.txt");
  change(t.caller, "both.txt");
  change(t.person(), "both.txt");
  REQUIRE(t.kernel().commit_turn(t.agent, 2).value() != "");
  const auto commits = t.repository.commits();
  REQUIRE(commits.size() == 2);
  CHECK(commits[0].changed == std::vector<std::string>{"both.txt", "theirs.txt"});
  CHECK_THAT(commits[0].author, has("(pid 1)"));
  CHECK_THAT(commits[0].message, has("by others"));
  CHECK(commits[1].changed == std::vector<std::string>{"own.txt"});
  CHECK_THAT(commits[1].author, has(fmt::format("(pid {})", t.agent.value)));
  change(t.person(), "theirs.txt");
  CHECK(t.kernel().commit_turn(t.agent, 3) == "");
}

TEST_CASE("rules that others have changed bring them nothing of what the agent did") {
  Tools t;
  std::filesystem::create_directories(t.state() + "/trees/workspaces/site/sub");
  const auto change = [&](const Caller& author, const std::string& name) {
    REQUIRE(t.kernel().record_change(author,
                                     {.operation = "write", .path = "/workspaces/site/" + name}));
  };
  change(t.person(), ".git/info/exclude");
  change(t.person(), "sub/.gitignore");
  change(t.caller, "own.txt");
  REQUIRE(t.kernel().commit_turn(t.agent, 1).value() != "");
  const auto commits = t.repository.commits();
  REQUIRE(commits.size() == 2);
  CHECK(commits[0].unignored == std::vector<std::string>{"", "sub"});
  CHECK(commits[0].left == std::vector<std::string>{"own.txt"});
  CHECK(commits[1].changed == std::vector<std::string>{"own.txt"});
  CHECK(commits[1].unignored.empty());
  CHECK(commits[1].left.empty());
}

TEST_CASE("a turn's commit holds which commits the repositories in the workspace have") {
  Tools t;
  const std::string site = t.state() + "/trees/workspaces/site";
  std::filesystem::create_directories(site);
  std::ofstream(site + "/.gitmodules") << "[submodule \"x\"]\n\tpath = sub\n";
  for (const char* path : {"nested/.git/HEAD", ".git/modules/x/refs/heads/main", ".git/index"}) {
    REQUIRE(t.kernel().record_change(
        t.caller, {.operation = "write", .path = fmt::format("/workspaces/site/{}", path)}));
  }
  REQUIRE(t.kernel().commit_turn(t.agent, 1).value() != "");
  REQUIRE(t.repository.commits().size() == 1);
  CHECK(t.repository.commits()[0].changed == std::vector<std::string>{"nested/.git", "sub/.git"});
}

TEST_CASE("a change of a tree is told with its details") {
  Tools t;
  const TreeChange exchange{.operation = "rename",
                            .path = "/workspaces/site/a",
                            .other = "/workspaces/site/b",
                            .details = {{"exchange", true}}};
  REQUIRE(t.kernel().record_change(t.caller, exchange));
  const std::string line = t.lines().back();
  CHECK_THAT(line, has("tree.rename"));
  CHECK_THAT(line, has(R"("other":"/workspaces/site/b","exchange":true)"));
}

TEST_CASE("who works in a workspace follows its new name") {
  Tools t;
  REQUIRE(file::make_directories(t.state() + "/trees/workspaces/site/src"));
  REQUIRE(file::make_directories(t.state() + "/trees/workspaces/other"));
  const ProcessId deep = t.spawn({.workspace = "site", .cwd = "/workspaces/site/src"});
  const ProcessId other = t.spawn({.workspace = "other"});
  const auto rename = [&](const char* from, const char* to, bool exchange) {
    TreeChange change{.operation = "rename", .path = from, .other = to, .details = {}};
    if (exchange) change.details.emplace_back("exchange", true);
    REQUIRE(t.kernel().record_change(t.caller, change));
  };
  rename("/workspaces/site/src", "/workspaces/other/src", false);  // no workspace
  CHECK(t.process(t.agent)->workspace == "site");
  rename("/workspaces/site", "/workspaces/moved", false);
  CHECK(t.process(t.agent)->workspace == "moved");
  CHECK(t.process(t.agent)->cwd == "/workspaces/moved");
  CHECK(t.process(deep)->cwd == "/workspaces/moved/src");
  CHECK(t.process(other)->cwd == "/workspaces/other");
  rename("/workspaces/moved", "/workspaces/other", true);
  CHECK(t.process(deep)->cwd == "/workspaces/other/src");
  CHECK(t.process(deep)->workspace == "other");
  CHECK(t.process(other)->workspace == "moved");
  CHECK(t.process(other)->cwd == "/workspaces/moved");
}

TEST_CASE("shell.exec binds workspace and home, and knows its sandbox") {
  Tools t;
  Caller inside;
  t.exec.run = [&](const ExecRequest&) -> std::optional<Result<ExecReply>> {
    inside = t.kernel().identify({.pid = 9, .pid_namespace = 4'000'000'001});
    ExecReply reply;
    reply.output = "hi";
    reply.exit_code = 3;
    reply.elapsed_ms = 1'042;
    return reply;
  };
  const Answer<std::string> answer;
  t.caller.start(shell::Exec{.command = "echo hi"}, answer.completion());
  CHECK(answer.wait() == "hi\n# exit=3 signal= elapsed=1.042 truncated=0\n");
  CHECK(inside.process == t.agent);
  CHECK(inside.via == "call:1");
  CHECK(t.kernel().identify({.uid = 0, .pid_namespace = 4'000'000'001}).process != t.agent);
  const ExecRequest request = t.exec.requests().at(0);
  CHECK(request.cwd == "/workspaces/site");
  CHECK(request.binds.at(0).first == "/mnt/agentfs/workspaces/site");
  CHECK(request.binds.at(1).second == "/home/root");
  const Answer<std::string> refused;
  t.caller.start(shell::Exec{.command = "ls", .device = "loca"}, refused.completion());
  CHECK_THAT(refused.wait().error().message, has("did you mean local"));
}

TEST_CASE(
    "a command without a sandbox runs below the mountpoint, and its rows tell the mount's path") {
  Tools t;
  REQUIRE(t.kernel().configuration().save("devices/local.toml", "sandbox = \"none\"\n"));
  t.exec.run = [](const ExecRequest&) { return ExecReply{}; };
  const Answer<std::string> answer;
  t.caller.start(shell::Exec{.command = "true"}, answer.completion());
  REQUIRE(answer.wait());
  const ExecRequest request = t.exec.requests().at(0);
  CHECK_FALSE(request.sandbox);
  CHECK(request.cwd == "/mnt/agentfs/workspaces/site");
  std::size_t rows = 0;
  for (const std::string& line : t.lines()) {
    if (!line.contains("\"kind\":\"exec.")) continue;
    CHECK_THAT(line, has("\"cwd\":\"/workspaces/site\"") && !has("/mnt/agentfs"));
    ++rows;
  }
  CHECK(rows == 2);
}

TEST_CASE("every syscall refuses unknown members and has a schema") {
  Tools t;
  for (const SyscallEntry& entry : all_syscalls()) {
    INFO(entry.row.name);
    CHECK(find_syscall(entry.row.name) == &entry);
    CHECK(json_schema(entry.fields)["properties"].object()->size() == entry.fields.size());
    const Answer<std::string> answer;
    entry.call(t.caller, *json::parse(R"({"no_such":1})"), answer.completion());
    CHECK(answer.wait().error().code == EINVAL);
  }
}

}  // namespace
}  // namespace agentfs
