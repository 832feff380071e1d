// SPDX-License-Identifier: MIT
// Every setting of the documents under /etc: documented, typed, checked, with a default that does.
#include <algorithm>
#include <array>

#include "catch.h"
#include "kernel/configuration.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

using Catch::Matchers::has;

constexpr std::array<std::string_view, 5> kTypes = {"string", "integer", "number", "boolean",
                                                    "list"};

std::string document_of(std::string_view kind) {
  if (kind == "models") return "models/some.toml";
  if (kind == "devices") return "devices/local.toml";
  if (kind == "history") return "history.toml";
  return kind == "profiles" ? "profiles/some/profile.toml" : "agentfs.toml";
}

// What a document of the kind needs beside the key in question.
std::string rest_of(std::string_view kind, std::string_view key) {
  if (kind != "models") return {};
  constexpr std::string_view kDriver = "driver = \"script\"\n";
  constexpr std::string_view kScenario = "scenario = \"/dev/null\"\n";
  constexpr std::string_view kAddress = "base_url = \"http://127.0.0.1:1/v1\"\n";
  if (key == "driver") return fmt::format("{}{}", kScenario, kAddress);
  return key == "scenario" ? std::string(kDriver) : fmt::format("{}{}", kDriver, kScenario);
}

std::string wrong_value(std::string_view type) {
  if (type == "string" || type == "list") return "7";
  return "\"odd\"";
}

std::string literal(const SettingRow& row) {
  return row.type == "string" ? fmt::format("\"{}\"", row.standard) : std::string(row.standard);
}

struct Checked {
  std::string path;
  std::size_t line;  // of the key
  Status status = ok();
};

Checked check(TreeWorld& world, const SettingRow& row, std::string_view key,
              std::string_view value) {
  const std::string rest = rest_of(row.document, row.key);
  Checked checked{document_of(row.document), text::lines(rest).size() + 1};
  const std::string text = fmt::format("{}{} = {}\n", rest, key, value);
  INFO(checked.path << "\n" << text);
  checked.status = world.kernel().configuration().check(checked.path, text);
  return checked;
}

TEST_CASE("Every setting has a type, a sentence and a name of its own") {
  std::vector<std::string> names;
  for (const SettingRow& row : setting_rows()) {
    INFO(row.document << " " << row.key);
    CHECK(is_sentence(row.doc));
    CHECK(std::ranges::find(kTypes, row.type) != kTypes.end());
    CHECK(row.key.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == std::string::npos);
    names.push_back(fmt::format("{}.{}", row.document, row.key));
  }
  std::ranges::sort(names);
  CHECK(std::ranges::adjacent_find(names) == names.end());
}

TEST_CASE("A setting of the wrong type is refused with its line, key and value") {
  TreeWorld world;
  for (const SettingRow& row : setting_rows()) {
    const std::string wrong = wrong_value(row.type);
    const Checked checked = check(world, row, row.key, wrong);
    INFO(row.document << " " << row.key);
    REQUIRE_FALSE(checked.status);
    CHECK(checked.status.error().code == EBADMSG);
    CHECK_THAT(checked.status.error().message,
               has(fmt::format("{}:{}:", checked.path, checked.line)) &&
                   has(std::string(row.key)) && has(std::string(text::trim(wrong))));
  }
}

TEST_CASE("A setting that there is not is refused with its line and the one that is near") {
  TreeWorld world;
  for (const SettingRow& row : setting_rows()) {
    const std::string misspelt = std::string(row.key) + "z";
    const Checked checked = check(world, row, misspelt, literal(row).empty() ? "1" : literal(row));
    INFO(row.document << " " << misspelt);
    REQUIRE_FALSE(checked.status);
    CHECK(checked.status.error().code == EBADMSG);
    CHECK_THAT(checked.status.error().message,
               has(fmt::format("{}:{}:", checked.path, checked.line)) && has(misspelt) &&
                   has("did you mean " + std::string(row.key)));
  }
}

TEST_CASE("A driver that there is not is refused with those that there are") {
  TreeWorld world;
  const Status refused = world.kernel().configuration().check(
      "models/some.toml", "driver = \"nobody\"\nbase_url = \"http://127.0.0.1:1/v1\"\n");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == EBADMSG);
  CHECK_THAT(refused.error().message,
             has("models/some.toml:1:") && has("nobody") && has("openai") && has("script"));
}

TEST_CASE("The default of every setting does when it is written out") {
  TreeWorld world;
  for (const SettingRow& row : setting_rows()) {
    if (row.standard.empty()) continue;
    const Checked checked = check(world, row, row.key, literal(row));
    INFO(row.document << " " << row.key << " = " << literal(row));
    CHECK(checked.status);
  }
}

TEST_CASE("A document without settings has the defaults") {
  TreeWorld world;
  const Configuration& configuration = world.kernel().configuration();
  const KernelSettings kernel;
  CHECK(configuration.kernel().reap_after_seconds == kernel.reap_after_seconds);
  CHECK(configuration.device("local").limits.timeout_ms == DeviceSettings{}.limits.timeout_ms);
  CHECK(configuration.profile("default")->model == ProfileSettings{}.model);
  for (const SettingRow& row : setting_rows()) {
    const auto number = text::number<std::int64_t>(row.standard);
    if (row.key == "reap_after_seconds") CHECK(number == kernel.reap_after_seconds);
    if (row.key == "journal_segment_bytes") CHECK(number == kernel.journal_segment_bytes);
    if (row.key == "spawn_depth") CHECK(number == kernel.spawn_depth);
    if (row.key == "spawn_descendants") CHECK(number == kernel.spawn_descendants);
    if (row.key == "max_parallel_calls") CHECK(number == ProfileSettings{}.max_parallel_calls);
    if (row.key == "tool_result_bytes") CHECK(number == ProfileSettings{}.tool_result_bytes);
    if (row.key == "memory_bytes") CHECK(number == ExecLimits{}.memory_bytes);
    if (row.key == "index_bytes") CHECK(number == HistorySettings{}.index_bytes);
    if (row.key == "output_bytes") CHECK(number == ExecLimits{}.output_bytes);
    if (row.key == "max_attempts") CHECK(number == ModelSettings{}.max_attempts);
    if (row.key == "idle_timeout_ms") CHECK(number == ModelSettings{}.idle_timeout_ms);
    if (row.key == "total_timeout_ms") CHECK(number == ModelSettings{}.total_timeout_ms);
  }
}

}  // namespace
}  // namespace agentfs::test
