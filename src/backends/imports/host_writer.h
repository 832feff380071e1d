// SPDX-License-Identifier: MIT
// Bringing changes back to a directory of the host: checked, staged, then renamed into place.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "backends/imports/host_directory.h"
#include "backends/imports/host_rights.h"
#include "backends/imports/host_steps.h"
#include "backends/imports/import_records.h"
#include "backends/imports/ready_names.h"
#include "base/permissions.h"

namespace agentfs::imports {

// One use, one thread. What write() of ImportStore promises.
class HostWriter {
 public:
  HostWriter(const ImportRecords& records, const HostDirectory& host,
             const std::vector<HostChange>& changes)
      : records_(records), host_(host), changes_(changes), rights_(records, host) {}
  ~HostWriter();
  HostWriter(const HostWriter&) = delete;
  HostWriter& operator=(const HostWriter&) = delete;

  Status check();  // nothing is written
  Status stage();  // temporary files only, in directories that are open from now on
  Status apply();
  // What stays in directories that were to be removed, which stay with it.
  const std::vector<std::string>& left() const { return left_; }

 private:
  using Number = std::pair<std::uint64_t, std::uint64_t>;  // of a directory: device, inode
  struct Item {
    const HostChange* change = nullptr;
    FileState now{};
    std::string temporary{};              // of new content; "" once it is in its place
    std::string away{};                   // where what goes is looked at; "" of a directory
    std::optional<Number> directory{};    // that it was made in, where that is held
    std::optional<std::uint64_t> made{};  // the inode of what is new
    FileState staged{};                   // of its temporary file
  };

  bool is_half_made(const HostChange& change, const FileState& now) const;
  bool is_untouched(const FileState& was, const FileState& now) const;
  Result<bool> holds_what_stays(const std::string& directory, const std::set<std::string>& staying);
  Status check_removals();
  Status check_rights();
  Status choose_temporaries();
  Status stage_all();
  Status told(Status status) const;  // of what failed before anything was written
  std::vector<Step> steps() const;
  Status stage_one(Item& item);
  Status hold(Item& item, const HostDirectory::Place& place);
  void remove_temporary(const Item& item) const;
  Status fill(const HostChange& change, const FileState& now, int file) const;
  Status note_staged(Item& item, int file) const;
  Status let_go(const Item& item, std::string& away, const HostDirectory::Place& there,
                const HostDirectory::Place& place, unsigned back);
  Status remove(Item& item);
  Status put_over(Item& item, const HostDirectory::Place& from, const HostDirectory::Place& place);
  Status put_in_place(Item& item, const HostDirectory::Place& place);
  Status put(Item& item);
  // What was made just now at that place since then, O_PATH, and given to its owner: others who may
  // write there may put something else in its place at any time.
  Result<UniqueFd> take_new(Item& item, const HostDirectory::Place& place,
                            const timespec& since) const;
  Result<mode_t> dress(const HostChange& change, int file) const;  // its mode then
  Status set_mode(const Item& item);
  static bool closes(const HostChange& change);
  static bool is_new(const Item& item);  // has nothing of its own in its place by then
  Status check_again(const Item& item) const;
  Status sync() const;
  bool has_directory(const std::string& path) const;
  std::string nearest_directory(const std::string& path) const;

  const ImportRecords& records_;
  const HostDirectory& host_;
  const std::vector<HostChange>& changes_;
  std::vector<Item> items_;  // what is left to be done, ordered by path
  // What this did to an inode that has lost a name by it, or got permissions.
  struct Ours {
    std::optional<std::int64_t> changed{};  // in nanoseconds, where it was the last that happened
    std::optional<mode_t> mode{};
  };
  std::map<std::uint64_t, Ours> relinked_;
  std::vector<std::string> left_;
  std::vector<std::string> made_;  // paths, by apply()
  bool intent_ = false;
  HostRights rights_;
  std::vector<ReadyName> ready_;
  std::map<Number, UniqueFd> held_;  // O_PATH: wherever somebody has moved them by the end
};

inline constexpr mode_t kNewDirectory = 0700;
inline constexpr mode_t kNewFile = 0600;

std::unexpected<Error> changed_meanwhile(const HostDirectory& host, const std::string& path);
bool is_renamed_into_place(const HostChange& change);
// A path that is there but neither stays nor is replaced by a rename must go first.
bool must_go(const FileState& now, const HostChange& change);
// Of a path that is gone and is to go: not by a write() of these changes (ImportRecords::written).
bool is_anothers_removal(const HostChange& change, const FileState& recorded,
                         const std::set<std::string>& written);
// Whether a path that is `now` is what the change makes of it.
Result<bool> is_made(const HostDirectory& host, const HostChange& change, const FileState& now);

// renameat2(2).
int rename_with(const HostDirectory::Place& from, const HostDirectory::Place& to, unsigned flags);

// Files that tell what a write() is about to do, and then, that it does it (host_steps.h).
inline std::string intent_of(const ImportRecords& records) {
  return records.directory() + "/writing";
}
inline std::string steps_of(const ImportRecords& records) {
  return records.directory() + "/applying";
}
// The temporary files of a write() that a crash cut short.
Status remove_leftovers(const ImportRecords& records);

}  // namespace agentfs::imports
