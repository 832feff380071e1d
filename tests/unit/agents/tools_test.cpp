// SPDX-License-Identifier: MIT
#include "agents/tools.h"

#include "agents/runner.h"
#include "base/text.h"
#include "catch.h"
#include "unit/agents/make.h"

namespace agentfs::agents {
namespace {

TEST_CASE("every tool is a syscall with a described schema") {
  const json::Array tools = tool_descriptions({});
  REQUIRE(tools.size() == all_tools().size());
  for (std::size_t i = 0; i < tools.size(); ++i) {
    const json::Value& function = tools[i]["function"];
    CHECK(function["name"].text() == all_tools()[i].name);
    CHECK(function["description"].text().ends_with('.'));
    CHECK(function["parameters"]["type"].text() == "object");
    CHECK(find_syscall(all_tools()[i].syscall) != nullptr);
  }
}

TEST_CASE("a profile gives only the tools it names") {
  ProfileSettings profile;
  profile.tools = std::vector<std::string>{"read", "list"};
  const json::Array tools = tool_descriptions(profile);
  REQUIRE(tools.size() == 2);
  CHECK(tools[0]["function"]["name"].text() == "list");
  const auto call = decode_call("exec", R"({"command":"true"})", profile);
  REQUIRE_FALSE(call);
  CHECK(call.error().code == ENOENT);
  CHECK(call.error().message == "exec: no such tool; there are list, read");
}

TEST_CASE("a profile that names no tools gives none") {
  ProfileSettings profile;
  profile.tools.emplace();
  CHECK(tool_descriptions(profile).empty());
  const auto call = decode_call("list", R"({"path":"."})", profile);
  REQUIRE_FALSE(call);
  CHECK(call.error().message == "list: no such tool; there are none");
}

TEST_CASE("an unknown tool is answered with the nearest names") {
  const auto call = decode_call("raed", "{}", {});
  REQUIRE_FALSE(call);
  CHECK(call.error().message.find("did you mean read") != std::string::npos);
}

TEST_CASE("arguments that are no JSON object are answered with the schema") {
  for (const char* arguments : {R"({"path": "a)", "[1]", "nonsense", "\"text\"", "{}{}", "\xff"}) {
    const auto call = decode_call("read", arguments, {});
    REQUIRE_FALSE(call);
    CHECK(call.error().code == EINVAL);
    CHECK(call.error().message.find(R"("required":["path"])") != std::string::npos);
    CHECK(text::is_utf8(call.error().message));
  }
}

TEST_CASE("empty arguments are an empty object") {
  const auto call = decode_call("list", "  ", {});
  REQUIRE(call);
  CHECK(call->arguments.object() != nullptr);
  CHECK(call->syscall->row.name == "fs.list");
}

TEST_CASE("reading tools only ask, others do not") {
  std::string asking;
  for (const ToolRow& tool : all_tools()) {
    if (only_asks(tool)) asking += std::string(tool.name) + " ";
  }
  CHECK(asking == "list read search ");
}

TEST_CASE("a short result is shown whole, to the byte") {
  CHECK(bounded("", 1000, "/p") == "");
  const std::string exact(1000, 'x');
  CHECK(bounded(exact, 1000, "/p") == exact);
}

TEST_CASE("a long result keeps head and tail at lines and names the path") {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += fmt::format("line {}\n", i);
  const std::string shown = bounded(text, 1000, "/proc/7/calls/3/result");
  CHECK(shown.size() < 1200);
  CHECK(shown.starts_with("line 0\nline 1\n"));
  CHECK(shown.ends_with("line 998\nline 999\n"));
  CHECK(shown.find("all of it is in /proc/7/calls/3/result") != std::string::npos);
  const auto middle = shown.find("… ");
  REQUIRE(middle != std::string::npos);
  CHECK(shown[middle - 1] == '\n');
  // What is shown and what is left out is everything.
  const auto count =
      text::number<std::size_t>(text::words(std::string_view(shown).substr(middle))[1]);
  REQUIRE(count);
  const auto note_end = shown.find('\n', middle);
  CHECK(middle + (shown.size() - note_end - 1) + *count == text.size());
}

TEST_CASE("cutting keeps UTF-8 whole and replaces what is not") {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "äöü€";
  CHECK(text::is_utf8(bounded(text, 301, "/p")));
  const std::string binary(5000, '\xff');
  CHECK(text::is_utf8(bounded(binary, 1000, "/p")));
  CHECK(
      text::is_utf8(bounded("a\xff"
                            "b",
                            1000, "/p")));
  CHECK(bounded("a\xff"
                "b",
                1000, "/p") ==
        "a\xEF\xBF\xBD"
        "b");
}

TEST_CASE("a tiny or negative limit still shows something") {
  CHECK(bounded(std::string(300, 'x'), 0, "/p").size() < 400);
  CHECK(bounded(std::string(200, 'x'), 0, "/p").size() == 200);
}

TEST_CASE("call ids become unique in the process") {
  Process process = test::process_in_run();
  test::add_call(process, "read", Call::State::done);  // c1
  const auto calls = with_unique_ids(process, {{"c1", "read", "{}"},
                                               {"", "read", "{}"},
                                               {"", "list", "{}"},
                                               {"x", "list", "{}"},
                                               {"x", "list", "{}"},
                                               {"c1_2", "list", "{}"}});
  std::vector<std::string> ids;
  for (const ToolCall& call : calls) ids.push_back(call.id);
  CHECK(ids == std::vector<std::string>{"c1_2", "call_1", "call_2", "x", "x_2", "c1_2_2"});
}

}  // namespace
}  // namespace agentfs::agents
