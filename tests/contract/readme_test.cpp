// SPDX-License-Identifier: MIT
// Every file is documented where it stands: in the README of its directory and by itself.
#include "catch.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

using Catch::Matchers::has;

TEST_CASE("Every row and every verb is documented by a sentence") {
  TreeWorld world;
  for (const RowAt& row : world.rows()) {
    INFO(row.path << ": " << row.info().doc);
    CHECK(is_sentence(row.info().doc));
    CHECK(is_sentence(row.directory.type->doc()));
    CHECK((row.info().kind == vfs::Kind::reply) == !row.info().usage.empty());
    CHECK((row.info().kind == vfs::Kind::control) == !row.info().verbs.empty());
    for (const vfs::VerbInfo& verb : row.info().verbs) {
      INFO(verb.syntax << ": " << verb.doc);
      CHECK(is_sentence(verb.doc));
      CHECK(text::words(verb.syntax).front() == verb.word);
    }
  }
}

TEST_CASE("A directory's README has each of its rows, each verb and each usage") {
  TreeWorld world;
  for (const DirectoryAt& at : world.directories()) {
    INFO(at.path);
    const std::string readme = world.read(below(at.path, "README"));
    CHECK_THAT(readme, has(std::string(at.path)));
    if (at.only != nullptr) {
      CHECK_THAT(readme, has(std::string(at.only->doc)));
      CHECK_THAT(readme, has(std::string(at.only->child->doc())));
      continue;
    }
    CHECK_THAT(readme, has(std::string(at.type->doc())));
    for (const vfs::RowInfo& row : at.type->rows()) {
      CHECK_THAT(readme, has(std::string(row.name)) && has(std::string(row.doc)));
      CHECK_THAT(readme, has(std::string(row.usage)));
      for (const vfs::VerbInfo& verb : row.verbs) {
        CHECK_THAT(readme, has(fmt::format("{}: {}", verb.syntax, verb.doc)));
      }
    }
  }
}

TEST_CASE("A directory of documents has a README that says what its row says") {
  TreeWorld world;
  for (const RowAt& row : world.rows()) {
    if (row.info().kind != vfs::Kind::documents) continue;
    INFO(row.path);
    CHECK_THAT(world.read(below(row.path, "README")), has(std::string(row.info().doc)));
  }
}

TEST_CASE("A control or reply file reads as its usage, all comments") {
  TreeWorld world;
  for (const RowAt& row : world.rows()) {
    const bool is_control = row.info().kind == vfs::Kind::control;
    if (!is_control && row.info().kind != vfs::Kind::reply) continue;
    INFO(row.path);
    const std::string text = world.read(row.path);
    CHECK_THAT(text, has(std::string(row.info().doc)) && has(std::string(row.info().usage)));
    for (const vfs::VerbInfo& verb : row.info().verbs) {
      CHECK_THAT(text, has(std::string(verb.syntax)) && has(std::string(verb.doc)));
    }
    for (const std::string_view line : text::lines(text)) CHECK(line.starts_with('#'));
  }
}

TEST_CASE("What a writable file reads as can be written back and changes nothing") {
  TreeWorld world;
  for (const RowAt& row : world.rows()) {
    if (row.info().kind != vfs::Kind::control && row.info().kind != vfs::Kind::reply &&
        row.info().kind != vfs::Kind::message) {
      continue;
    }
    if (row.path.starts_with(world.path_of(world.dead, ""))) continue;  // takes no messages
    INFO(row.path);
    const std::uint64_t head = world.head();
    const std::size_t errors = world.errors().size();
    const std::string text = world.read(row.path);
    const auto opened = world.get(row.path)->open(world.request(), O_RDWR);
    REQUIRE(opened);
    CHECK(read_all(world.request(), *opened->handle) == text);
    CHECK((text.empty() || write_once(world.request(), *opened->handle, text) == 0));
    CHECK(opened->handle->flush(world.request()));
    opened->handle->release();
    CHECK((text.empty() || world.write(row.path, text) == 0 ||
           row.info().kind == vfs::Kind::message));
    CHECK(world.head() == head);
    CHECK(world.errors().size() == errors);
  }
}

TEST_CASE("A setting that is written back as it reads stays as it is") {
  TreeWorld world;
  for (const RowAt& row : world.rows()) {
    const bool of_agent =
        row.directory.path ==
        world.path_of(world.idle, "").substr(0, world.path_of(world.idle, "").size() - 1);
    if (row.info().kind != vfs::Kind::setting || !of_agent) continue;
    const std::string text = world.read(row.path);
    INFO(row.path << ": " << text::shown(text));
    CHECK(world.write(row.path, text) == 0);
    CHECK(world.read(row.path) == text);
  }
}

}  // namespace
}  // namespace agentfs::test
