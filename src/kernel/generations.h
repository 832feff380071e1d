// SPDX-License-Identifier: MIT
// Which record of the journal last changed what each path of the workspaces and homes holds.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/json.h"

namespace agentfs {

// Who changed it: the process and its lineage, "7<1<root (sed)".
struct Writer {
  ProcessId process{};
  std::string lineage{};
};
using WriterRef = std::shared_ptr<const Writer>;

// The last change of a path; a value. The number is that of the journal's record: it grows with
// every change and is never given twice, so a name that is removed and made again goes on.
struct Generation {
  Sequence number{};
  std::int64_t time = 0;   // wall clock, nanoseconds
  std::int64_t named = 0;  // of the change that made the name, or renamed to it; 0: of none known
  WriterRef writer{};      // null: not known
};

// A value that belongs to the fold. It follows names: what a rename of a directory, a fork or a
// rollback gives the names below it is the directory's own number, and that of a path is the
// greatest on the way to it; so none of these walks. What lies below a .git is told by the .git
// alone. At most `most` names are known one by one: beyond that the older half is told by the
// root's number, which is greater than theirs.
//
// A table of entries that point to their directory, found by a hash of (directory, name): a rename
// moves one entry, whatever lies below. About 110 bytes a name.
class Generations {
 public:
  static constexpr std::size_t kMostNames = 500'000;
  using Id = std::uint32_t;  // of an entry; 0 is the root "/"

  // One entry, as the store keeps it.
  struct Entry {
    Id parent = 0;
    std::string name{};
    Generation last{};
    Sequence other{};  // the last change by another than the writer of `last`
    json::Value to_json() const;
  };

  explicit Generations(std::size_t most = kMostNames);

  // --- changes; paths are absolute and clean
  void change(std::string_view path, const Generation& by);
  void remove(std::string_view path, const Generation& by);  // with all below it
  void move(std::string_view from, std::string_view to, const Generation& by);
  void exchange(std::string_view one, std::string_view two, const Generation& by);
  // The one object for equal writers.
  WriterRef writer(ProcessId process, std::string lineage);
  // The entries that have changed since this was asked last, ascending; some may be gone.
  std::vector<Id> take_touched();
  bool has_touched() const { return !touched_.empty(); }
  void touch(Id id) { touched_.push_back(id); }

  // --- looks
  Generation of(std::string_view path) const;  // number 0: nothing is known of it
  // When the name was made last, or something was renamed to it; 0: it is not known.
  std::int64_t named(std::string_view path) const;
  // The last change of what the path holds by another process than this one.
  Sequence changed_by_other(std::string_view path, ProcessId process) const;
  std::size_t names() const { return used_; }
  // The newest, oldest of them first.
  std::vector<std::pair<std::string, Generation>> newest(std::size_t count) const;

  // --- the store
  const Entry* find(Id id) const;  // null where there is none
  void load(Id id, const json::Value& value);
  void finish_load();

 private:
  struct Slot {
    Entry entry{};
    Id next = 0;  // with the same hash
    std::uint32_t children = 0;
    bool used = false;
  };
  static std::uint64_t hash(Id parent, std::string_view name);
  Id find_child(Id parent, std::string_view name) const;  // 0: none
  Id find_path(std::string_view path) const;              // 0: none, or the root
  Id ensure(std::string_view path);
  Id add(Id parent, std::string_view name);
  void link(Id id);
  void unlink(Id id);
  void free(Id id);
  void grow();
  void erase_below(Id id);
  void place(Id id, std::string_view path);  // takes it to another name
  void set(Id id, const Generation& by);
  void forget_older_half();
  std::string path_of(Id id) const;
  template <class Visit>
  void visit(std::string_view path, const Visit& each) const;

  std::size_t most_;
  std::vector<Slot> slots_;
  std::vector<Id> buckets_;
  std::vector<Id> unused_;
  std::size_t used_ = 0;
  std::vector<Id> touched_;
  std::unordered_map<std::string, std::weak_ptr<const Writer>> writers_;
  std::size_t prune_at_ = 1024;
  WriterRef newest_writer_{};
};

// Paths that have generations: below /workspaces and /home.
bool has_generation(std::string_view path);

}  // namespace agentfs
