// SPDX-License-Identifier: MIT
// Three-way merges of trees: planned as a value, then carried out all or not at all.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/compare.h"
#include "backends/tree_store.h"
#include "base/error.h"

namespace agentfs {

// `ours` gets what changed from `base` to `theirs`. The three may be of different stores.
struct MergeSides {
  TreeSide base;
  TreeSide ours;
  TreeSide theirs;
};

// One change of ours. Paths of a side where it has nothing are "".
struct MergeAction {
  enum class Kind : char {
    write,  // new bytes, link or special file at `path`
    move,   // ours' file goes from `ours_path` to `path`, its bytes as they are; of a directory
            // that is new in ours, all in it, too
    set_mode,
    remove,
    make_directory,    // as theirs has it, or as ours has it at `ours_path`
    remove_directory,  // all in it is removed or moved by other actions
  };
  Kind kind = Kind::write;
  bool merged = false;      // the bytes are base, ours and theirs merged; else they are theirs'
  bool equal = false;       // ours' bytes, which it keeps, are theirs'
  bool attributes = false;  // it takes over some that theirs has changed
  mode_t mode = 0;          // type and permissions that the result has
  std::string path{};
  std::string base_path{};
  std::string ours_path{};
  std::string theirs_path{};
  FileState base{};
  FileState ours{};  // what ours has at `ours_path`: checked again before anything is changed
  FileState theirs{};
};

// A path where both sides changed and no rule says which counts. Ours keeps what it has.
struct MergeConflict {
  enum class Reason : char {
    content,  // both changed the same lines
    binary,   // both changed bytes that are no text, or too many for a merge
    both_added,
    deleted,  // one side changed what the other deleted
    renamed,  // renamed to two names, or onto a name that is taken
    type,     // file, link, directory or special file: the sides differ
    mode,
    attributes,  // its owner, or one extended attribute
  };
  Reason reason = Reason::content;
  std::string sentence{};  // what happened on which side, without the path
  std::string path{};      // where ours has it or, where ours has nothing, would get it
  std::string base_path{};
  std::string ours_path{};
  std::string theirs_path{};
  FileState base{};
  FileState ours{};
  FileState theirs{};
  // Of a file or directory of theirs, what tells its owner and attributes from others; "": not
  // known.
  std::string theirs_attributes{};
  bool has_merged = false;  // merged() has a text with markers
  // Theirs renamed it, and what is written to `path` would leave that out.
  bool is_renamed_by_theirs() const {
    return !base_path.empty() && !theirs_path.empty() && theirs_path != base_path &&
           theirs_path != path;
  }
};

struct MergePlan {
  std::vector<MergeAction> actions{};
  std::vector<MergeConflict> conflicts{};
  std::vector<std::string> notes{};  // sentences: what was left as ours has it, such as a .git
};

constexpr std::string_view word_of(MergeConflict::Reason reason) {
  constexpr std::string_view kWords[] = {"content", "binary", "both-added", "deleted",
                                         "renamed", "type",   "mode",       "attributes"};
  return kWords[static_cast<std::size_t>(reason)];
}

// A conflict as one line of text, for who keeps it over a restart. EBADMSG for what is none.
std::string to_text(const MergeConflict& conflict);
Result<MergeConflict> conflict_of(std::string_view text);

// The life of a merge: plan(), then stage(), whose record the caller stores durably, then apply()
// and, when its success is stored, finish(). After a crash: finish() where success was stored,
// undo() and finish() where only the record was, discard() where nothing was. Each may be repeated.
// Threads: all, one life a tree at a time. Others may go on changing all three trees: what they
// changed since plan() is found (ESTALE) and stays.
class TreeMerger {
 public:
  virtual ~TreeMerger() = default;

  // Changes nothing. A .git that both sides have stays ours', with a note.
  virtual Result<MergePlan> plan(const MergeSides& sides, const CompareOptions& options) const = 0;

  // The three versions of a conflict's file as one text with markers; of has_merged only.
  virtual Result<std::string> merged(const MergeSides& sides,
                                     const MergeConflict& conflict) const = 0;

  // Three texts as one, with markers where ours and theirs changed the same lines; EINVAL for what
  // is no text.
  struct Texts {
    std::string_view base{};
    std::string_view ours{};
    std::string_view theirs{};
  };
  struct TextMerge {
    std::string text{};
    bool is_clean = false;
  };
  virtual Result<TextMerge> merge_texts(const Texts& texts) const = 0;

  struct StageOptions {
    bool partial = false;             // EBUSY without it where the plan has conflicts
    bool durable = true;              // false: for trees that need not outlive a power cut
    TreeCaller caller{};              // owns what is new and theirs has no owner for
    std::int64_t largest = 32 << 20;  // as of the plan
  };
  // Writes all that is new into kMergeDirectory in ours' root, which must not exist yet (EBUSY),
  // and returns a text that tells the other calls everything. ESTALE where a side has moved. Leaves
  // nothing behind where it fails.
  virtual Result<std::string> stage(const MergeSides& sides, const MergePlan& plan,
                                    const StageOptions& options) const = 0;

  // Runs a step by which a file of ours loses a place to another, so that nobody writes to it or
  // sets its attributes in between; null: runs it. `lost`: how many it has lost then, of all its
  // names; 0: it moves with all it has, is changed itself, or gets one again.
  using Exchange = std::function<Status(const TreeNode& file, nlink_t lost,
                                        const std::function<Status()>& step)>;
  // Checks every path of ours against the plan, then makes the changes by renames alone: a file
  // that is replaced is so in one step. Where one fails, or finds what the plan did not see, all
  // are undone before the error is returned; what is undone has the same inode as before.
  virtual Status apply(const TreeSide& ours, const std::string& record,
                       const Exchange& exchange = {}) const = 0;

  // Gives what took the place of a file of ours, and nobody has written to since, an mtime of now,
  // so that what was built of the old one while the merge went on is older than it, and the
  // directories that ours had not those of theirs; the files and directories that have another. For
  // a merge whose success is stored: undo() would take such a file for somebody's.
  virtual Result<std::vector<TreeNodeRef>> freshen(const TreeSide& ours, const std::string& record,
                                                   const Exchange& exchange = {}) const = 0;

  // Puts back what apply() did, as far as it came. What somebody changed after apply() stays, the
  // rest is put back, and EBUSY names it; what it replaced is then still in kMergeDirectory.
  virtual Status undo(const TreeSide& ours, const std::string& record,
                      const Exchange& exchange = {}) const = 0;

  // Told, before it is deleted, of each file and directory that the merge removed or replaced and
  // the path it had.
  using Kept = std::function<Status(const std::string& path, const TreeEntry& old)>;
  // Told of each directory that the merge removed and somebody has made something in since, by an
  // open one: it has its path again, and is no longer `name` in kMergeDirectory. Those above first.
  using Returned = std::function<Status(const std::string& path, const std::string& name)>;
  // Removes kMergeDirectory; files in it that the record does not know (ENOTEMPTY) stay.
  virtual Status finish(const TreeSide& ours, const std::string& record, const Kept& kept,
                        const Returned& returned = {}) const = 0;

  // Removes what a stage() left whose record was never stored.
  virtual Status discard(const TreeSide& ours) const = 0;
};

}  // namespace agentfs
