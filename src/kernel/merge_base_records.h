// SPDX-License-Identifier: MIT
// The records of what two trees have in common since a merge of one into the other, which of them
// hold for what a tree is after rollbacks, and how it is known that one is damaged or gone.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "backends/forest.h"
#include "kernel/lineage.h"

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
// Of a tree that is going back, while it does: the name of the state before, and the one that it
// goes to.
std::string rollback_file(const std::string& directory, std::uint32_t tree);
// All in a directory, be it there or not.
Result<std::vector<BaseRecord>> base_records(const std::string& directory);
// Of merges that took what was clean and left conflicts which have ended, by a rollback or one
// after the other: where the two are what they were between, they are left again. `newest` is
// always known; the file, <into>.<from>.<state>.<newest>.conflicts, has them as they are stored.
Result<std::vector<BaseRecord>> ended_conflicts(const std::string& directory);
std::string ended_file(const std::string& directory, const BaseRecord& record);
// Files of earlier builds that say nothing any more.
Result<std::vector<BaseRecord>> obsolete_records(const std::string& directory);

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
// Those of a pair's that are the last to hold, now or after some rollback, by their paths; of two
// of one state the first.
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
// Whether one is of a merge with that tree. The list of rollbacks of one without may be cut off
// with the power: nobody waits for it to be on the disk.
bool has_record_of(const std::vector<BaseRecord>& records, std::uint32_t tree);
// The lineage of a tree as `records` of it need it: EBADMSG where it cannot be read, or has lost a
// rollback that came after the first of these.
Result<Lineage> lineage_of(const std::string& directory, const TreeInfo& tree,
                           const std::vector<BaseRecord>& records);
// Those that are of no use so, and why, to come after the file's name.
struct DamagedLineage {
  std::string file{};
  std::uint32_t tree = 0;
  std::string why{};
};
std::vector<DamagedLineage> damaged_lineages(const std::string& directory,
                                             const std::vector<TreeInfo>& family);
// Writes a record anew, from the state that it is of. ENODATA where that is not there: the next
// merge of the two begins from an earlier one then.
Status mend_base(const std::string& directory, const LostBase& lost,
                 const std::vector<TreeInfo>& family);

}  // namespace agentfs
