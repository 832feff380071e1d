// SPDX-License-Identifier: MIT
// The records of what two trees have in common since a merge of one into the other, which of them
// hold for what a tree is after rollbacks, and how it is known that one is damaged or gone.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backends/forest.h"

namespace agentfs {

// A merge of `from` into `into`: of which state of the one it was, and the newest state of the
// other as it ended (nothing, of earlier builds: not known). The file is <into>.<from>.<state>, of
// earlier builds <into>.<from>; it has both and a check.
struct BaseRecord {
  std::string path{};
  std::uint32_t into = 0;
  std::uint32_t from = 0;
  std::uint64_t state = 0;
  std::optional<std::uint64_t> newest{};
  std::string damage{};  // why it cannot be read; "" of one that can

  std::string name() const;
  std::string text() const;
  bool is_of(std::uint32_t one, std::uint32_t other) const {
    return (into == one && from == other) || (into == other && from == one);
  }
};
// All in a directory, be it there or not.
Result<std::vector<BaseRecord>> base_records(const std::string& directory);
// Files of earlier builds that say nothing any more.
Result<std::vector<BaseRecord>> obsolete_records(const std::string& directory);

// Which of the states of a tree led to what it is, or was at a state: a rollback begins anew from
// the one that it goes back to. File <tree>.rollbacks: for each the state that undoes it and the
// one that it went to, with a check.
class Lineage {
 public:
  static constexpr std::uint64_t kNow = std::numeric_limits<std::uint64_t>::max();
  static std::string name(std::uint32_t tree);
  static std::string file(const std::string& directory, std::uint32_t tree);
  static Result<Lineage> read(const std::string& file);  // EBADMSG: damaged
  std::string text() const;
  void add(std::uint64_t undo, std::uint64_t to);
  // Of rollbacks from before this state nobody is going to ask.
  void forget_before(std::uint64_t state);

  // Whether a rollback began at it.
  bool was_left(std::uint64_t state) const;
  // Whether the state is one of those that led to what the tree was at `end`.
  bool has_state(std::uint64_t state, std::uint64_t end = kNow) const;
  // The same of what happened after the state and before the next.
  bool has_after(std::uint64_t state, std::uint64_t end = kNow) const;

 private:
  // Twice the number of a state, or one more: after it.
  bool has(std::uint64_t point, std::uint64_t end) const;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> rollbacks_{};  // undo, to; in order
};

// Of a tree that was never kept: 0.
std::uint64_t newest_state(const TreeInfo& tree);

// A tree of a pair as records are looked at for it.
struct MergedTree {
  TreeInfo info{};
  Lineage lineage{};
};
// The last record of a pair that holds for what both are; null: none.
const BaseRecord* last_that_holds(const std::vector<BaseRecord>& records, const MergedTree& one,
                                  const MergedTree& other);
// Those of a pair's that are the last to hold, now or after some rollback, by their paths.
std::set<std::string> needed_records(const std::vector<BaseRecord>& records, const MergedTree& one,
                                     const MergedTree& other);

// Of two trees of which a state may have no record though nothing was lost: a merge has begun, has
// left conflicts, or is over for good.
struct UnsettledPair {
  std::string path{};
  std::uint32_t into = 0;
  std::uint32_t from = 0;
};
std::string unsettled_name(std::uint32_t into, std::uint32_t from);
// On the disk when it returns; several at once may note one pair.
Status note_unsettled(const std::string& directory, std::uint32_t into, std::uint32_t from);
Result<std::vector<UnsettledPair>> unsettled_pairs(const std::string& directory);
// The record goes, and what it names may stay for a while.
Status forget_record(const BaseRecord& record);

// The label of a state that a merge into the tree began with; earlier builds had another one, of
// states that may have no record though nothing was lost.
std::string base_label(std::uint32_t into);
bool is_base_label(const std::string& label, std::uint32_t into);

// A record that cannot be read, names no state that is there, or is gone though the state that it
// must have named is there.
struct LostBase {
  BaseRecord record{};
  std::string why{};  // to come after the file's name
};
Result<std::vector<LostBase>> lost_bases(const std::string& directory,
                                         const std::vector<TreeInfo>& family);
// The files of lineages that cannot be read, each with the tree that it is of.
std::vector<std::pair<std::string, std::uint32_t>> damaged_lineages(
    const std::string& directory, const std::vector<TreeInfo>& family);
// Writes a record anew, from the state that it is of. ENOENT where that is not there: the next
// merge of the two begins from an earlier one then.
Status mend_base(const std::string& directory, const LostBase& lost,
                 const std::vector<TreeInfo>& family);

}  // namespace agentfs
