// SPDX-License-Identifier: MIT
// What an overlay's upper directory says, as steps in the tree that was its lower one.
#pragma once

#include "backends/compare/record.h"
#include "backends/compare/upper_tree.h"
#include "backends/overlay_fold.h"

namespace agentfs::compare {

// Names of files in kMergeDirectory that are a fold's: what comes, and what goes.
inline constexpr char kComing = 'f';
inline constexpr char kGoing = 'o';
inline constexpr char kMoving = 'd';

// Paths of ours and of the upper directory are of the tree as the command left it, unless they are
// told as the tree's own from before ("old" paths): a directory that was renamed lies elsewhere in
// the one than in the other.
class FoldPlanner {
 public:
  FoldPlanner(const TreeSide& ours, const OverlayLeft& left, const OverlayFolder::Changed& changed)
      : ours_(ours), left_(left), changed_(changed) {}
  Result<FoldPlan> run();

 private:
  struct Doomed {
    std::vector<std::pair<std::string, TreeEntry>> entries{};  // directories before what is in them
    std::vector<std::string> changed{};                        // of these, by others
  };
  // A file with several names: what others change under one of them, they change under all.
  struct Linked {
    std::vector<std::string> names{};  // sorted
    std::optional<bool> is_changed{};  // by others; nothing: not asked yet
  };
  using Node = UpperNode;

  Status visit(const Node& directory, const std::string& path, bool displaced);
  Status visit_child(const Node& child, const std::string& path, const std::string& old,
                     bool displaced);
  Status visit_directory(const Node& child, const std::string& path, const std::string& old,
                         bool displaced);
  Status place_leaf(const Node& leaf, const std::string& path, const std::string& old,
                    bool displaced);
  Status replace_leaf(const Node& leaf, const std::string& path, const TreeEntry& now,
                      const std::string& old, bool displaced);
  void bring(const Node& node, const std::string& path);
  Status bring_new(const Node& node, const std::string& path);
  Status tell_new(const Node& node, const std::string& path, bool is_inner);
  Status tell_new_child(const Node& child, const std::string& path, bool& has_lost_some);
  Status move(const Node& node, const std::string& path);
  Result<Doomed> doomed(const std::string& old);
  Status remove(const std::string& old);
  Status remove_beside(const Node& made, const TreeEntry& now);
  void take(const std::string& old, const TreeEntry& now);
  void refuse(const Node& node, const std::string& path);
  Status dress(const Node& node, const std::string& path);
  void tell_lone_times();
  void leave(const std::string& path);  // what is no file of the tree
  void go_aside(const std::string& path);
  Status read_linked();
  Result<Linked*> find_linked(const std::string& old);
  Result<bool> is_changed(const std::string& old);
  void keep_ours(const FoldConflict& conflict, const std::string& old);
  Status link_others();
  Status link_other(const std::string& old, ino_t inode, const std::string& index);
  void swap_linked(const std::string& old, const TreeEntry& now, MergeStep step);
  Status keep_time(const std::string& old);
  Result<bool> is_same(const std::string& host_path, const struct stat& state,
                       const TreeEntry& now);
  Result<std::optional<TreeEntry>> find_old(const std::string& old);
  std::string now_at(const std::string& old) const;
  void tell(std::string operation, const std::string& path, std::uint64_t bytes = 0);
  std::vector<FoldChange> where_it_was(const std::vector<FoldChange>& gone) const;
  void hold_more(const struct stat& state);  // by an inode of the upper directory
  void hold_less(const struct stat& state);  // by a name of one of ours, which goes
  std::string next_name(char letter) { return fmt::format("{}{}", letter, ++count_); }
  std::string order();

  PathFinder ours_;
  const OverlayLeft& left_;
  const OverlayFolder::Changed& changed_;
  std::optional<UpperDirectory> upper_{};
  UpperTree tree_{};
  FoldPlan plan_{};
  std::size_t count_ = 0;
  bool dresses_differ_ = false;
  std::vector<FoldChange> removals_{};  // told before all others, and so are
  std::vector<FoldChange> renames_{};   // these, which come second
  std::vector<MergeStep> takes_{};
  std::vector<MergeStep> directory_takes_{};
  std::vector<MergeStep> puts_{};
  std::vector<FoldPiece> pieces_{};
  std::vector<FoldPiece> links_{};
  std::vector<FoldDress> dresses_{};
  std::set<std::string, std::less<>> touched_{};           // old paths that are taken or swapped
  std::map<std::string, std::string, std::less<>> moves_;  // old path of a directory, and the new
  std::set<ino_t> held_{};                                 // of these, those that are counted
  std::map<ino_t, nlink_t> gone_{};                        // inodes of ours: names that go
  std::set<ino_t> brought_{};                             // inodes of the upper directory that come
  std::optional<std::map<ino_t, Linked>> lower_files_{};  // of the tree, by the disk's numbers
  std::map<ino_t, std::string> linked_{};                 // pieces that more names are links of
};

// The file's state as a step knows it.
FileState state_of_stat(const struct stat& state);

}  // namespace agentfs::compare
