// SPDX-License-Identifier: MIT
#include "backends/trees/forest_missing.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <set>

#include "base/directory.h"
#include "base/text.h"

namespace agentfs::trees {
namespace {

// States that may have been newer than the newest there is.
constexpr std::uint64_t kFurther = 16;
constexpr std::size_t kMostNames = 20'000'000;  // tried; some 20 ns each

class RecordSearch {
 public:
  RecordSearch(ForestDisk& disk, const Line& line)
      : disk_(disk), line_(line), amiss_(line.roll().amiss()) {}

  std::string find();

 private:
  bool is_it(const std::string& name) const {
    const std::uint64_t count = count_of(name);
    return count == amiss_[0] || count == amiss_[1];
  }
  // The name with one of the numbers behind it, or nothing.
  std::string with_number(const std::string& name, std::uint64_t until) const;
  std::string saved(const SavedDirectory& directory, std::uint64_t until) const;
  void add(int directory);
  void add_directories(int above, const std::string& name);  // it and those below it

  ForestDisk& disk_;
  const Line& line_;
  const std::array<std::uint64_t, 2> amiss_;
  std::set<SavedDirectory> directories_;
};

std::string RecordSearch::with_number(const std::string& name, std::uint64_t until) const {
  for (std::uint64_t number = 0; number <= until; ++number) {
    if (std::string all = fmt::format("{}.{}", name, number); is_it(all)) return all;
  }
  return {};
}

std::string RecordSearch::saved(const SavedDirectory& directory, std::uint64_t until) const {
  for (std::uint64_t number = 0; number <= until; ++number) {
    if (std::string all = SavedState{directory, number}.name(); is_it(all)) return all;
  }
  return {};
}

void RecordSearch::add(int directory) {
  const SavedDirectory one = SavedDirectory::of(ForestDisk::key_of(directory));
  directories_.insert(one);
  directories_.insert({one.inode, 0});  // as earlier builds named it
}

void RecordSearch::add_directories(int above, const std::string& name) {
  const UniqueFd top(::openat(above, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!top) return;
  walk_directories(top.get(), [&](int directory, const std::string&, std::size_t) {
    const auto entries = directory >= 0 ? list_directory(directory) : fail_errno(name);
    if (!entries) return std::vector<std::string>();
    add(directory);
    return directories_in(*entries);
  });
}

std::string RecordSearch::find() {
  const std::uint64_t last = line_.newest() + kFurther;
  for (const char* kind : {"snap", "hidden", "retired", "dropped", "sources"}) {
    if (std::string found = with_number(kind, last); !found.empty()) return found;
  }
  for (const auto& [number, other] : disk_.lines) {
    for (const char* kind : {"source", "base"}) {
      std::string found =
          with_number(fmt::format("{}.{}", kind, number), other->newest() + kFurther);
      if (!found.empty()) return found;
    }
  }
  for (const auto& [directory, versions] : line_.saved().all()) directories_.insert(directory);
  for (const auto& [sequence, state] : line_.snapshots()) {
    directories_.insert(SavedDirectory::of(state.root));
  }
  if (const auto live = disk_.live.find(line_.number()); live != disk_.live.end()) {
    add_directories(disk_.top(), live->second);
  }
  for (const std::uint64_t sequence : line_.retired()) {
    add_directories(line_.directory(), Line::retired_name(sequence));
  }
  if (directories_.size() * last > kMostNames) return {};
  for (const SavedDirectory& directory : directories_) {
    std::string found = saved(directory, last);
    if (!found.empty()) return found;
  }
  return {};
}

// What is not so any more without it.
std::string_view loss_of(std::string_view name) {
  if (name.starts_with("past")) {
    return "what that directory was up to that state; the checkpoints that read it show what it "
           "is now, or nothing";
  }
  if (name.starts_with("snap") || name.starts_with("hidden")) return "the state itself";
  if (name.starts_with("retired")) return "the tree as it was before a rollback";
  return "what the tree reads from elsewhere, which may be removed now as if nobody did";
}

}  // namespace

std::optional<std::string> tell_missing(ForestDisk& disk, const Line& line) {
  if (line.roll().amiss()[0] == 0) return std::nullopt;
  const auto live = disk.live.find(line.number());
  const std::string whose =
      live == disk.live.end() ? "a tree that is gone" : text::shown(live->second);
  const std::string name = RecordSearch(disk, line).find();
  if (name.empty()) {
    return fmt::format(
        "line {}, of {}: some of its records are gone, or came from elsewhere; "
        "checkpoints of it may show what is there now",
        line.number(), whose);
  }
  struct stat found{};
  if (::fstatat(line.directory(), name.c_str(), &found, AT_SYMLINK_NOFOLLOW) == 0) {
    return fmt::format("line {}, of {}: nobody here made its record {}: what it says was not so",
                       line.number(), whose, name);
  }
  return fmt::format("line {}, of {}: record {} is gone: {}", line.number(), whose, name,
                     loss_of(name));
}

std::uint64_t sum_of(const std::vector<HostEntry>& entries) {
  std::uint64_t sum = 0;
  for (const HostEntry& entry : entries) sum ^= count_of(entry.name);
  return sum;
}

bool is_amiss(const Marks& marks, int directory, const std::vector<HostEntry>& entries) {
  const FileMark told = marks.file(Spot::of(directory));
  return told.roll && *told.roll != sum_of(entries);
}

// Marks tell of what was forked or kept without the records that they name.
Result<Findings> check_without_records(const std::string& directory) {
  Findings found{.sum = "never forked"};
  const UniqueFd top(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!top) return found;
  const Marks marks(::geteuid() == 0);
  for (const HostEntry& entry : TRY(list_directory(top.get()))) {
    if (entry.type != S_IFDIR) continue;
    const auto mark = marks.tree(Spot::in(top.get(), entry.name));
    if (mark && !*mark) continue;
    found.problems.push_back(
        fmt::format("{}: was forked or kept, and all records of that are gone; what it had not "
                    "changed since cannot be read, and it is not served",
                    text::shown(entry.name)));
  }
  return found;
}

}  // namespace agentfs::trees
