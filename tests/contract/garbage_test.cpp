// SPDX-License-Identifier: MIT
// Garbage written into every file that can be written: refused with an errno of the vocabulary and
// a sentence, and nothing has changed.
#include "catch.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

using Catch::Matchers::has;
using namespace std::string_literals;

struct Garbage {
  std::string text;
  std::string word;  // the sentence names it, or the file
};

std::vector<Garbage> garbage_for(const vfs::RowInfo& row) {
  std::vector<Garbage> all = {{"nice\0 1\n"s, "NUL"}, {"\xff\xfe\xc0\n", "UTF-8"}};
  if (row.kind == vfs::Kind::message) return all;
  all.push_back({std::string(70UL << 10U, 'x') + "\n", "65536"});
  if (row.kind == vfs::Kind::reply) return all;  // any words may be a request
  for (const char* word : {"frobnicate!", "nicely?", "?!", "\xe2\x80\xae?", "../../../x!"}) {
    all.push_back({fmt::format("{}\n", word), text::shown(word)});
  }
  if (row.kind == vfs::Kind::control) all.push_back({"\"unclosed\n", "quote"});
  return all;
}

// The newest failure that the writer is told of; one line for one failed write.
void check_refused(TreeWorld& world, const std::string& path, const Garbage& garbage, int code) {
  CHECK(is_in_vocabulary(code));
  const auto errors = world.errors();
  REQUIRE_FALSE(errors.empty());
  const std::string& newest = errors.back();
  CHECK_THAT(newest, has(errno_name(code)));
  const auto fields = text::split(newest, '\t');
  REQUIRE(fields.size() == 4);
  CHECK(fields[2] == path);
  // The word, the file, or the object that it belongs to.
  const bool names_it = newest.contains(garbage.word) || fields[3].contains(name_of(path)) ||
                        fields[3].contains(parent_of(path));
  CHECK(names_it);
  CHECK(text::is_utf8(newest));
}

void write_garbage(TreeWorld& world, const RowAt& row, const Garbage& garbage, int flags) {
  INFO(row.path << " flags " << flags << ": " << text::shown(garbage.text));
  const std::uint64_t head = world.head();
  const std::string before = world.state_text();
  const std::size_t errors = world.errors().size();
  const int code = world.write(row.path, garbage.text, flags);
  CHECK(code != 0);
  CHECK(world.errors().size() > std::min<std::size_t>(errors, 199));
  check_refused(world, row.path, garbage, code);
  CHECK(world.head() == head);
  CHECK(world.state_text() == before);
}

TEST_CASE("Garbage is refused by every file that can be written, and changes nothing") {
  TreeWorld world;
  for (const RowAt& row : world.rows()) {
    if (!is_written(row.info().kind)) continue;
    for (const Garbage& garbage : garbage_for(row.info())) {
      write_garbage(world, row, garbage, O_WRONLY | O_TRUNC);
    }
  }
}

TEST_CASE("Garbage without a newline is refused at the close, or at the write") {
  TreeWorld world;
  for (const RowAt& row : world.rows()) {
    if (!is_written(row.info().kind)) continue;
    for (Garbage garbage : garbage_for(row.info())) {
      garbage.text.pop_back();
      write_garbage(world, row, garbage, O_WRONLY | O_APPEND);
    }
  }
}

TEST_CASE("A failed command does not close the file: the next one is executed") {
  TreeWorld world;
  for (const RowAt& row : world.rows()) {
    if (row.info().kind != vfs::Kind::control || row.directory.key.size() != 1) continue;
    if (row.path != world.path_of(world.idle, "ctl")) continue;
    const auto opened = world.get(row.path)->open(world.request(), O_RDWR);
    REQUIRE(opened);
    CHECK(write_once(world.request(), *opened->handle, "frobnicate\n") == EINVAL);
    CHECK(write_once(world.request(), *opened->handle, "nice 4\n") == 0);
    CHECK(world.read(world.path_of(world.idle, "priority")) == "4\n");
    opened->handle->release();
  }
}

TEST_CASE("A setting takes one line, and not an empty one where it must have a value") {
  TreeWorld world;
  for (const char* setting : {"name", "model", "profile", "priority"}) {
    const std::string path = world.path_of(world.idle, setting);
    const std::string before = world.read(path);
    for (const char* text : {"\n", "  \n", "\t\n"}) {
      INFO(path << " " << text::shown(text));
      const std::uint64_t head = world.head();
      CHECK(is_in_vocabulary(world.write(path, text)));
      CHECK(world.read(path) == before);
      CHECK(world.head() == head);
    }
  }
}

TEST_CASE("A text of several lines stops at the first that fails") {
  TreeWorld world;
  CHECK(world.write(world.path_of(world.idle, "ctl"), "nice 1\nnice many\nnice 2\n") == EINVAL);
  CHECK(world.read(world.path_of(world.idle, "priority")) == "1\n");
}

}  // namespace
}  // namespace agentfs::test
