// SPDX-License-Identifier: MIT
// Each look at the history, once a minute, went over all removed names of a file for each of them:
// with a hundred thousand hard links made and removed the kernel was locked until the watcher ended
// the daemon, which hung again as soon as the next one had started.
#include <chrono>
#include <string>
#include <vector>

#include "catch.h"
#include "kernel/history.h"

namespace agentfs::test {
namespace {

FileVersionRef version(std::uint64_t number, FileVersion::Type type, const std::string& path) {
  FileVersion made;
  made.number = number;
  made.type = type;
  made.file = 77;
  made.path = path;
  return std::make_shared<const FileVersion>(std::move(made));
}

std::vector<std::uint64_t> numbers_of(const std::vector<FileVersionRef>& versions) {
  std::vector<std::uint64_t> numbers;
  for (const FileVersionRef& one : versions) numbers.push_back(one->number);
  return numbers;
}

TEST_CASE("The names of all contents of a file are found in one look at each") {
  using Type = FileVersion::Type;
  constexpr std::uint64_t kNames = 200'000;
  constexpr std::uint64_t kBetween = 1'000;  // a content after so many
  History history;
  for (std::uint64_t number = 1; number <= kNames; ++number) {
    const bool is_content = number % kBetween == 0;
    history.add(version(number, is_content ? Type::file : Type::name,
                        "/workspaces/site/" + std::to_string(number)));
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  std::uint64_t found = 0;
  for (const auto& [number, one] : history.all()) {
    found += history.names_of(*one).size();
    if (number % kBetween == 0) REQUIRE(std::chrono::steady_clock::now() < deadline);
  }
  CHECK(found == kNames - kNames / kBetween);
}

TEST_CASE("Names go with the content that was kept next, in the tree that it is of") {
  using Type = FileVersion::Type;
  History history;
  const std::string site = "/workspaces/site/";
  history.add(version(1, Type::name, site + "a"));
  history.add(version(2, Type::name, "/workspaces/other/b"));
  history.add(version(3, Type::file, site + "c"));
  history.add(version(4, Type::name, site + "d"));
  history.add(version(5, Type::empty, site + "e"));
  history.add(version(6, Type::name, site + "f"));
  const auto names = [&](std::uint64_t number) {
    return numbers_of(history.names_of(*history.find(number)));
  };
  using Numbers = std::vector<std::uint64_t>;
  CHECK(names(3) == Numbers{1});
  CHECK(names(5) == Numbers{4});
  for (const std::uint64_t none : {1U, 2U, 4U, 6U}) CHECK(names(none).empty());
  for (const std::uint64_t name : {1U, 4U}) {
    CHECK(names(history.whole(history.find(name))->number) == Numbers{name});
  }
  CHECK(history.whole(history.find(2)) == nullptr);
  CHECK(history.whole(history.find(6)) == nullptr);
}

}  // namespace
}  // namespace agentfs::test
