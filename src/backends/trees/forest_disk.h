// SPDX-License-Identifier: MIT
// What the forest does to the disk so that trees can share files: finding what a hollow directory
// reads, keeping directories for snapshots, filling forks and unsharing files.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backends/trees/directory_tree.h"
#include "backends/trees/disk_files.h"
#include "backends/trees/file_ids.h"
#include "backends/trees/forest_ahead.h"
#include "backends/trees/forest_growth.h"
#include "backends/trees/forest_links.h"
#include "backends/trees/forest_nodes.h"
#include "backends/trees/mark_rows.h"
#include "backends/trees/stand_ins.h"
#include "base/owner_rights.h"

namespace agentfs::trees {

// Everything is called under the store's lock: reading with others, what changes alone.
class ForestDisk {
 public:
  struct Parts {
    std::shared_ptr<NodeTable> table;
    std::unique_ptr<DirectoryTree> disk;
    std::shared_ptr<NodeBook> book;
    std::unique_ptr<FileIds> ids;
    std::unique_ptr<MarkRows> rows;
    std::unique_ptr<StandIns> stand_ins;
    UniqueFd top;     // O_PATH: the directory of the trees
    UniqueFd hidden;  // O_PATH: the directory of the lines
    UniqueFd rights;  // O_PATH: the room of OwnerRights
    bool trusted = true;
    const Lender* lender = nullptr;
    std::chrono::nanoseconds part{};
  };
  explicit ForestDisk(Parts parts)
      : parts_(std::move(parts)),
        marks_(parts_.trusted, {.lender = parts_.lender,
                                .rows = parts_.trusted ? nullptr : parts_.rows.get(),
                                .stand_ins = parts_.stand_ins.get()}) {}

  DirectoryTree& disk() { return *parts_.disk; }
  NodeTable& table() { return *parts_.table; }
  NodeBook& book() { return *parts_.book; }
  const std::shared_ptr<NodeBook>& book_ref() { return parts_.book; }
  FileIds& ids() { return *parts_.ids; }
  const Marks& marks() const { return marks_; }
  const StandIns& stand_ins() const { return *parts_.stand_ins; }
  int top() const { return parts_.top.get(); }
  int hidden() const { return parts_.hidden.get(); }
  int rights() const { return parts_.rights.get(); }
  std::chrono::nanoseconds part() const { return parts_.part; }  // how long others wait at once
  AheadCopies& ahead() { return ahead_; }                        // at any time
  // Bits of the owner's for the daemon; alone.
  Result<OwnerRights> lend(const ForestNode& node, mode_t bits);

  // The tree that a directory at the top is, found by its mark, or a plain one.
  TreeRef tree_at(const TreeEntry& directory);
  void set_tree(const TreeNode& directory, TreeRef tree);
  bool is_top(const ForestNode& node) const { return &node == top_node.get(); }
  ForestNodeRef top_node;
  std::map<std::uint32_t, std::shared_ptr<Line>> lines;
  std::map<std::uint32_t, std::string> live;  // the name at the top of each line's tree
  // By line, the snapshots of trees that are there, and every state that a tree reads which is
  // itself there or read by one.
  using Wanted = std::map<std::uint32_t, std::set<std::uint64_t>>;
  Wanted wanted() const;
  // Whether its tree is what the directory of an import was when last looked at.
  bool is_of_host(const Line& line) const {
    const auto found = live.find(line.number());
    return found != live.end() && found->second.starts_with(kHiddenTree);
  }
  std::map<std::string, std::string> unreadable;  // names at the top, and why: EBADMSG
  ForestCounts counts;
  KnownLinks linked;

  // --- reading
  // Where a directory's entries are: its own, or those of what it reads through.
  Result<Content> content(ForestNode& directory);
  Result<Content> resolve(Source source);
  // The place of an entry of a directory's content, for the book.
  Result<NodeBook::Place> place(ForestNode& parent, const std::string& name, const TreeEntry& entry,
                                const Content& content);
  // Of a new file without a name, in the tree of the directory it was made in.
  Result<NodeBook::Place> place_nameless(const ForestNode& directory, const TreeEntry& entry);
  // What a directory of a hollow one's content reads; `known`: its node, where it was looked up.
  Result<Content> below(const Content& content, int directory, const std::string& name);
  Result<Source> source_of(const Content& content, int directory, const std::string& name,
                           const TreeNode* known = nullptr);
  Status refuse(const ForestNode& node) const;  // where nothing of its tree may change
  Status check_readable(const ForestNode& parent, const std::string& name) const;
  Result<TreeEntry> find(ForestNode& parent, const std::string& name);
  // What had the name before a rollback becomes what has it now; a directory and all above it do.
  void follow(ForestNode& parent, const std::string& name);
  bool is_followed(const ForestNode& parent, const std::string& name);
  Result<TreeEntry> find_alone(ForestNode& parent, const std::string& name);
  void catch_up(ForestNode& directory);
  // Null where nothing is known to have the name, or something else has it.
  Result<ForestNodeRef> find_known(ForestNode& parent, const std::string& name,
                                   struct stat& attributes);
  // The disk's attributes of a node, and those shown in its tree.
  Result<struct stat> raw_attributes(ForestNode& node);
  Result<struct stat> attributes(ForestNode& node);
  Result<struct stat> shown(ForestNode& node, struct stat attributes);
  Result<FileMark> mark_of(ForestNode& node);
  Result<Borrowed> borrow(const ForestNode& node);
  static DirectoryKey key_of(int fd);
  Result<DirectoryKey> key_of(const TreeNode& directory);
  // The number a file is known by in all trees that share it.
  ino_t id_of(const FileMark& mark, mode_t type, ino_t inode);
  // The number that it has in that tree.
  ino_t shown_number(const Tree& tree, mode_t type, ino_t id, ino_t inode);
  Result<TreeEntry> open_entry(int directory, const std::string& name);

  // --- before something changes
  Status prepare_directory(ForestNode& directory);
  // `empty`: its content is about to be cut off, so none need be copied.
  Status prepare_file(ForestNode& file, bool empty);
  bool lends(const ForestNode& file);
  // A lent file gets its bytes between the two, with no lock, and after them all who have it open
  // read these there. No descriptor where the turn is not for what it is by now.
  struct Fetch {
    UniqueFd file{};
    Lender::Lent from{};
  };
  Result<Fetch> begin_fetch(ForestNode& file, const AheadCopies::Turn& turn);
  Status end_fetch(ForestNode& file, int filled, bool is_whole);
  // Whether it gives the file another inode, as far as can be told without looking for names.
  bool is_to_be_unshared(const ForestNode& file, nlink_t links);
  Status prepare(ForestNode& node, bool empty) {
    return node.is_directory() ? prepare_directory(node) : prepare_file(node, empty);
  }
  // Whether it is solid, all of it; false where `until` came before.
  Result<bool> solidify(ForestNode& directory, Until until = kWhole);
  // What prepare() has to do of large directories, in advance; false where `until` came before.
  bool make_ready(ForestNode& node, Until until);
  // The directories with a name of the file are kept as they are, before anybody adds a name.
  Status keep_parents(ForestNode& file);
  // An empty directory under `name`, if there is none, whose inode no directory of the line had
  // that was saved: the disk gives numbers again, and what was saved is found by them.
  Status make_fresh_directory(Line& line, int directory, const std::string& name);
  // Makes the fresh directory hollow: it reads `source`, and has the attributes of `shelf`.
  Status make_hollow(int directory, const std::string& name, const Source& source,
                     const TreeNode& shelf);
  // Snapshots read the same time of change of a directory that is about to be renamed.
  Status keep_time(ForestNode& directory);
  // The same of a file or directory that the daemon is about to lend itself rights to.
  Status keep_shown(ForestNode& node);
  // Completes what a crash left half done.
  Status recover(Line& line, ForestNode& root);
  // All names of a file in its tree, each looked at.
  Result<std::vector<ForestNode::Name>> names_of(ForestNode& file);
  // What was found out about hollow directories is out of date; collected(): as are their states.
  void moved() { ++moves_; }
  void collected() { ++collections_, moved(); }

 private:
  struct Shelf {
    TreeNodeRef directory;
    bool saved = false;
  };
  void know_mark(NodeBook::Place& place, const FileMark& mark);
  void show_lent(const TreeNode& file, struct stat& attributes);
  Result<Shelf> shelf_of(const Source& source);
  Result<TreeNodeRef> live_directory(const Source& source);
  Result<TreeNodeRef> search(int directory, const std::string& name, ino_t inode);
  // Solid, and saved for the newest snapshot.
  Result<bool> keep(ForestNode& directory, Until until = kWhole);
  bool is_to_be_saved(const ForestNode& directory);
  Result<bool> save(ForestNode& directory, Until until);
  void give_up(const ForestNode& directory);  // what was begun to save it
  Result<bool> build_saved(ForestNode& directory, Growth& growth, Until until);
  Status save_directory(const Line& line, int from, const HostEntry& entry, int to);
  Result<bool> fill(ForestNode& directory, Until until);
  Result<bool> fill_part(ForestNode& directory, Growth& growth, Until until);
  Status fill_directory(const Content& content, int from, const ForestNode& above,
                        const std::string& name);
  Status settle_children(ForestNode& directory, const std::vector<HostEntry>& entries);
  Status link_file(int from, const std::string& name, int to);
  bool leads_to(const ForestNode::Name& name, ino_t inode);
  Status unshare(ForestNode& file, const std::vector<ForestNode::Name>& names, bool empty);
  Status move_names(Line& line, const Borrowed& old, const std::string& fresh,
                    const std::vector<ForestNode::Name>& names);
  Status put_over(Line& line, const std::string& fresh, const ForestNode::Name& name);

  Parts parts_;
  const Marks marks_;
  AheadCopies ahead_;
  Growths filling_, saving_;
  std::atomic<std::uint64_t> moves_ = 1, collections_ = 0;
  Mutex<Rank::forest_nodes> mutex_;
  std::map<ino_t, TreeRef> trees_ GUARDED_BY(mutex_);  // by the inode of the directory
};

}  // namespace agentfs::trees
