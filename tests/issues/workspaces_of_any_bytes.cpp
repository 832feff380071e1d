// SPDX-License-Identifier: MIT
// A workspace whose name is not UTF-8 stays the one it is, also in what is stored.
#include "base/file.h"
#include "base/text.h"
#include "catch.h"
#include "kernel/change_feed.h"
#include "support/must.h"
#include "support/test_kernel.h"

namespace agentfs::test {
namespace {

const std::string kName = "w\xff";
const std::string kReplaced = "w\xef\xbf\xbd";  // as JSON would have it

void make(TestKernel& t, const std::string& name) {
  must(file::make_directories(t.state() + "/trees/workspaces/" + name));
}

}  // namespace

TEST_CASE("an agent works in its workspace of any bytes also after a restart") {
  TestKernel t;
  make(t, kName);
  make(t, kReplaced);
  const ProcessId pid = t.spawn({.workspace = kName});
  const ProcessId other = t.spawn({});
  json::Value cwd;
  json::set_bytes(cwd, "value", "/workspaces/" + kName);
  must(t.commit("process.set", cwd.set("pid", other.value).set("key", "cwd")));
  must(t.stop_and_start());
  CHECK(t.process(pid)->workspace == kName);
  CHECK(t.process(pid)->cwd == "/workspaces/" + kName);
  CHECK(t.process(other)->cwd == "/workspaces/" + kName);
}

TEST_CASE("what happens in a workspace of any bytes is told there, and in no other one") {
  TestKernel t;
  json::Value data;
  json::set_bytes(data, "path", "/workspaces/" + kName + "/a");
  must(t.commit("tree.create", std::move(data)));
  const auto lines_of = [&](const std::string& name) {
    return t.kernel().changes().text("/workspaces/" + name);
  };
  for (const bool again : {false, true}) {
    CAPTURE(again);
    if (again) must(t.stop_and_start());
    CHECK(lines_of(kName).contains("2f776f726b7370616365732f77ff2f61"));
    CHECK(lines_of(kReplaced).empty());
    CHECK(
        must(changes_since(t.kernel().journal(), Sequence{}, "/workspaces/" + kReplaced)).empty());
  }
}

}  // namespace agentfs::test
