// SPDX-License-Identifier: MIT
// Every verb of every control file with none, too few, too many and wrongly typed words.
#include "catch.h"
#include "support/tree_world.h"

namespace agentfs::test {
namespace {

using Catch::Matchers::has;

// "nice N" takes one word; a last word TEXT is the rest of the line; [WORD] may be left out.
struct Syntax {
  explicit Syntax(const vfs::VerbInfo& verb) {
    const auto words = text::words(verb.syntax);
    word = verb.word;
    for (std::size_t i = 1; i < words.size(); ++i) {
      arguments.emplace_back(words[i]);
      if (!words[i].starts_with('[')) ++required;
    }
    takes_rest = !arguments.empty() && (arguments.back() == "TEXT" || arguments.back() == "[TEXT]");
  }
  std::string line(std::size_t count) const {
    std::string text = word;
    for (std::size_t i = 0; i < count; ++i) text += " 1";
    return text + "\n";
  }
  std::string word;
  std::vector<std::string> arguments;
  std::size_t required = 0;
  bool takes_rest = false;
};

// A path, and the name of what is to be made or looked for in a workspace.
bool takes_any_word(const RowAt& row, const std::string& argument) {
  const bool names_tree = argument == "NAME" || argument.contains("CHECKPOINT");
  const bool is_history = row.path.ends_with("/.agentfs/ctl") || row.path.starts_with("/.agentfs/");
  const bool has_trees = is_history || row.path.starts_with("/sys/workspaces/");
  return argument == "PATH" || argument == "DIRECTORY" || (names_tree && has_trees);
}

template <class Check>
void each_verb(TreeWorld& world, Check check) {
  std::size_t seen = 0;
  for (const RowAt& row : world.rows()) {
    if (row.info().kind != vfs::Kind::control) continue;
    for (const vfs::VerbInfo& verb : row.info().verbs) {
      check(row, verb, Syntax(verb));
      ++seen;
    }
  }
  CHECK(seen > 10);
}

void check_refused(TreeWorld& world, const RowAt& row, const vfs::VerbInfo& verb,
                   const std::string& line) {
  INFO(row.path << ": " << line);
  const std::uint64_t head = world.head();
  const std::string before = world.state_text();
  CHECK(world.write(row.path, line) == EINVAL);
  REQUIRE_FALSE(world.errors().empty());
  CHECK_THAT(world.errors().back(), has("EINVAL") && has(row.path) && has(std::string(verb.word)));
  CHECK(world.head() == head);
  CHECK(world.state_text() == before);
}

TEST_CASE("A verb with too few words is EINVAL, and the sentence has the verb") {
  TreeWorld world;
  each_verb(world, [&](const RowAt& row, const vfs::VerbInfo& verb, const Syntax& syntax) {
    for (std::size_t count = 0; count < syntax.required; ++count) {
      check_refused(world, row, verb, syntax.line(count));
    }
  });
}

TEST_CASE("A verb with too many words is EINVAL, and the sentence has the word") {
  TreeWorld world;
  each_verb(world, [&](const RowAt& row, const vfs::VerbInfo& verb, const Syntax& syntax) {
    if (syntax.takes_rest) return;
    std::string line = syntax.line(syntax.arguments.size());
    line.insert(line.size() - 1, " surplus");
    check_refused(world, row, verb, line);
    CHECK_THAT(world.errors().back(), has("surplus"));
  });
}

TEST_CASE("A verb with a word of the wrong type is EINVAL, and the sentence has the word") {
  TreeWorld world;
  each_verb(world, [&](const RowAt& row, const vfs::VerbInfo& verb, const Syntax& syntax) {
    // An init process has no such settings: that is said before what is wrong with their values.
    if (row.path == world.path_of(world.init, "ctl")) return;
    const std::size_t typed = syntax.arguments.size() - (syntax.takes_rest ? 1U : 0U);
    for (std::size_t wrong = 0; wrong < typed; ++wrong) {
      if (takes_any_word(row, syntax.arguments[wrong])) continue;
      std::string line = syntax.word;
      for (std::size_t i = 0; i <= wrong; ++i) line += i == wrong ? " ?wrong!" : " 1";
      check_refused(world, row, verb, line + "\n");
      CHECK_THAT(world.errors().back(), has("?wrong!"));
    }
  });
}

TEST_CASE("A misspelt verb is EINVAL, and the sentence has the one that is meant") {
  TreeWorld world;
  each_verb(world, [&](const RowAt& row, const vfs::VerbInfo& verb, const Syntax& syntax) {
    const std::string misspelt = syntax.word + "x";
    check_refused(world, row, verb, misspelt + "\n");
    CHECK_THAT(world.errors().back(), has(misspelt));
  });
}

TEST_CASE("A control file shows the last result of the one who reads it") {
  TreeWorld world;
  const std::string ctl = world.path_of(world.idle, "ctl");
  CHECK(world.write(ctl, "nice 3\n") == 0);
  CHECK_THAT(world.read(ctl), has("# last: \"nice 3\"") && has("# ok"));
  CHECK(world.write(ctl, "nice high\n") == EINVAL);
  CHECK_THAT(world.read(ctl), has("# last: \"nice high\"") && has("EINVAL") && has("high"));
}

}  // namespace
}  // namespace agentfs::test
