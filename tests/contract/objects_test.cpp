// SPDX-License-Identifier: MIT
// An object read whole says what its files say one by one.
#include <algorithm>

#include "catch.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

// A member as its file shows it; nothing for lists and objects, which have files of another form.
std::optional<std::string> atom(const json::Value& value) {
  if (const std::string* text = value.string()) return *text;
  if (const std::int64_t* number = value.integer()) return fmt::format("{}", *number);
  return std::nullopt;
}

std::string_view without_newline(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  return text;
}

std::vector<DirectoryAt> whole_objects(TreeWorld& world) {
  std::vector<DirectoryAt> all = world.directories();
  std::erase_if(all, [](const DirectoryAt& at) {
    return at.only != nullptr || std::ranges::find(at.type->rows(), "_object.json",
                                                   &vfs::RowInfo::name) == at.type->rows().end();
  });
  return all;
}

json::Value read_object(TreeWorld& world, const std::string& directory) {
  const auto value = json::parse(world.read(below(directory, "_object.json")));
  REQUIRE(value);
  return *value;
}

TEST_CASE("_object.json agrees with the files beside it") {
  TreeWorld world;
  std::size_t compared = 0;
  for (const DirectoryAt& at : whole_objects(world)) {
    const json::Value object = read_object(world, at.path);
    for (const vfs::RowInfo& row : at.type->rows()) {
      const bool has_value = row.kind == vfs::Kind::value || row.kind == vfs::Kind::setting;
      const auto member = atom(object[row.name]);
      if (!has_value || !member) continue;
      INFO(below(at.path, row.name));
      const std::string text = world.read(below(at.path, row.name));
      CHECK(without_newline(text) == without_newline(*member));
      ++compared;
    }
  }
  CHECK(compared >= 4 * 10);
}

TEST_CASE("_object.json has a member for every setting and every state of its object") {
  TreeWorld world;
  for (const DirectoryAt& at : whole_objects(world)) {
    const json::Value object = read_object(world, at.path);
    for (const vfs::RowInfo& row : at.type->rows()) {
      if (row.kind != vfs::Kind::setting && row.name != "state") continue;
      INFO(below(at.path, row.name));
      CHECK_FALSE(object[row.name].is_null());
    }
  }
}

TEST_CASE("_all.jsonl has one line an object, each as its _object.json") {
  TreeWorld world;
  std::size_t seen = 0;
  for (const DirectoryAt& at : world.directories()) {
    const auto rows = at.type->rows();
    if (std::ranges::find(rows, "_all.jsonl", &vfs::RowInfo::name) == rows.end()) continue;
    INFO(at.path);
    const std::string text = world.read(below(at.path, "_all.jsonl"));
    std::vector<json::Value> lines;
    for (const std::string_view line : text::lines(text)) {
      const auto value = json::parse(line);
      REQUIRE(value);
      lines.push_back(*value);
    }
    std::vector<json::Value> objects;
    for (const DirectoryAt& object : whole_objects(world)) {
      const bool is_one = parent_of(object.path) == at.path && object.key.size() > at.key.size();
      if (is_one) objects.push_back(read_object(world, object.path));
    }
    CHECK(lines == objects);
    seen += objects.size();
  }
  CHECK(seen >= 4 + 2);
}

TEST_CASE("What the objects of the world are can be read one by one") {
  TreeWorld world;
  CHECK(world.read(world.path_of(world.init, "state")) == "idle\n");
  CHECK(world.read(world.path_of(world.idle, "name")) == "idle-agent\n");
  CHECK(world.read(world.path_of(world.idle, "workspace")) == "site\n");
  CHECK(world.read(world.path_of(world.busy, "state")) == "waiting-tool\n");
  CHECK(world.read(world.path_of(world.busy, "calls/1/state")) == "done\n");
  CHECK(world.read(world.path_of(world.busy, "calls/2/state")) == "running\n");
  CHECK(world.read(world.path_of(world.dead, "state")) == "dead\n");
}

}  // namespace
}  // namespace agentfs::test
