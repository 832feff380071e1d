// SPDX-License-Identifier: MIT
// What the manual and the completions are made from has everything in it.
#include <set>

#include "catch.h"
#include "kernel/configuration.h"
#include "kernel/syscalls/table.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

json::Value parsed_dump() {
  const auto parsed = json::parse(json::dump(tree::dump()));
  REQUIRE(parsed);
  return *parsed;
}

const json::Value* find_by(const json::Value& list, std::string_view member,
                           std::string_view text) {
  REQUIRE(list.array() != nullptr);
  for (const json::Value& one : *list.array()) {
    if (one[member].text() == text) return &one;
  }
  return nullptr;
}

// The path of the manual: /proc/5/calls/1 is /proc/<pid>/calls/<n>.
std::string path_in_manual(TreeWorld& world, const DirectoryAt& at) {
  if (at.takes_names) return fmt::format("/workspaces/{}", at.type->placeholder());
  std::string path;
  std::string walked;
  for (const std::string_view name : text::split(at.path, '/')) {
    if (name.empty()) continue;
    walked += fmt::format("/{}", name);
    std::string_view shown = name;
    for (const DirectoryAt& other : world.directories()) {
      if (other.path == walked && !other.type->placeholder().empty() && other.key.back() == name) {
        shown = other.type->placeholder();
      }
    }
    path += fmt::format("/{}", shown);
  }
  return path.empty() ? "/" : path;
}

void check_row(const json::Value& file, const vfs::RowInfo& row) {
  CHECK(file["kind"].text() == vfs::name(row.kind));
  CHECK(file["doc"].text() == row.doc);
  CHECK(file["mode"].text() == fmt::format("{:04o}", row.mode & 07777U));
  CHECK(file["listed"].truth(!row.listed) == row.listed);
  CHECK(file["usage"].text() == row.usage);
  for (const vfs::VerbInfo& verb : row.verbs) {
    const json::Value* found = find_by(file["verbs"], "word", verb.word);
    REQUIRE(found != nullptr);
    CHECK((*found)["syntax"].text() == verb.syntax);
    CHECK((*found)["doc"].text() == verb.doc);
  }
}

TEST_CASE("The dump has every directory, row and verb of the tree") {
  TreeWorld world;
  const json::Value dump = parsed_dump();
  std::set<std::string> seen;
  for (const DirectoryAt& at : world.directories()) {
    if (at.only != nullptr) continue;
    const std::string path = path_in_manual(world, at);
    INFO(at.path << " is " << path);
    const json::Value* directory = find_by(dump["directories"], "path", path);
    REQUIRE(directory != nullptr);
    seen.insert(path);
    CHECK((*directory)["doc"].text() == at.type->doc());
    CHECK((*directory)["files"].array()->size() == at.type->rows().size());
    for (const vfs::RowInfo& row : at.type->rows()) {
      INFO(row.name);
      const json::Value* file = find_by((*directory)["files"], "name", row.name);
      REQUIRE(file != nullptr);
      check_row(*file, row);
    }
  }
  // And the world has objects of all that the dump tells of.
  CHECK(seen.size() == dump["directories"].array()->size());
}

TEST_CASE("The dump has every syscall and every setting") {
  const json::Value dump = parsed_dump();
  for (const SyscallEntry& entry : all_syscalls()) {
    INFO(entry.row.name);
    const json::Value* found = find_by(dump["syscalls"], "name", entry.row.name);
    REQUIRE(found != nullptr);
    CHECK((*found)["doc"].text() == entry.row.doc);
    CHECK((*found)["effect"].text() == name(entry.row.effect));
    REQUIRE((*found)["fields"].array()->size() == entry.fields.size());
    for (const FieldInfo& field : entry.fields) {
      const json::Value* one = find_by((*found)["fields"], "name", field.name);
      REQUIRE(one != nullptr);
      CHECK((*one)["type"].text() == field.type);
      CHECK((*one)["required"].truth(!field.required) == field.required);
    }
  }
  REQUIRE(dump["settings"].array() != nullptr);
  REQUIRE(dump["settings"].array()->size() == setting_rows().size());
  for (std::size_t i = 0; i < setting_rows().size(); ++i) {
    const json::Value& one = (*dump["settings"].array())[i];
    CHECK(one["document"].text() == setting_rows()[i].document);
    CHECK(one["key"].text() == setting_rows()[i].key);
    CHECK(one["default"].text() == setting_rows()[i].standard);
  }
}

}  // namespace
}  // namespace agentfs::test
