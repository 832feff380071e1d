// SPDX-License-Identifier: MIT
// The nodes of a forest: what stands for one file in one tree, wherever the disk has it.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "backends/trees/forest_tree.h"
#include "backends/trees/known_names.h"
#include "backends/trees/line.h"
#include "backends/trees/node_names.h"
#include "base/mutex.h"

namespace agentfs::trees {

class NodeBook;

// Where a hollow directory reads, found out when the forest's count of moves was `moves`.
struct Content {
  TreeNodeRef shelf{};      // the directory of the disk that has its attributes
  TreeNodeRef directory{};  // the one that has its entries
  Source source{};          // whose entries they are
  bool saved = false;       // its directories are marks, not the live ones
  std::uint64_t moves = 0;
};

// The mark of a node's file, as it was when the count of moves was `moves`.
struct KnownMark {
  FileMark mark{};
  std::uint64_t moves = 0;
};

// Held by whoever gives it another inode, so that its descriptor's number is nobody else's
// meanwhile.
struct HeldFile {
  std::shared_ptr<TreeFile> file{};
  int flags = 0;  // those to open it with again
};

// Kept alive by those who hold it and by the nodes below it. The fields after the constructor's are
// changed under the store's lock, alone, except where the book's is named.
class ForestNode final : public TreeNode, public std::enable_shared_from_this<ForestNode> {
 public:
  using Name = NodeName;

  ForestNode(std::shared_ptr<NodeBook> book, TreeRef owner, mode_t type, ino_t number);
  ~ForestNode() override;
  std::uint64_t device() const override { return device_; }
  std::uint64_t inode() const override { return number_; }
  mode_t type() const override { return type_; }

  bool is_directory() const { return type_ == S_IFDIR; }
  bool solid() const { return source == nullptr; }
  void set_source(std::optional<Source> wanted);
  bool prepared() const { return epoch == tree->epoch && tree->refusal == 0; }

  TreeRef tree;
  TreeNodeRef disk;  // null: a directory that is nowhere on the disk, below a hollow one
  std::unique_ptr<Source> source;  // of a hollow directory
  std::uint64_t collections = 0;   // how many there were when the source was found
  std::atomic<std::uint64_t> epoch = 0;
  std::atomic<bool> removed = false;  // without a name in its tree any more
  // A directory of a state that is over, and becomes the one in its place when it is next used.
  std::atomic<bool> follows = false;
  bool has_other_names(const struct stat& attributes) const {
    return attributes.st_nlink > 1 + static_cast<nlink_t>(links_aside.load());
  }

 private:
  friend class NodeBook;
  // What only directories have: there are many more files, as many as the host's kernel knows.
  struct Inside {
    KnownNames entries{};
    KnownNames::Nodes formers{};  // directories that were in it
    std::optional<Content> content{};
  };
  const std::shared_ptr<NodeBook> book_;
  const dev_t device_;
  const mode_t type_;
  const ino_t number_;
  // Under the book's mutex.
  const std::unique_ptr<Inside> inside_;  // of a directory
  NodeNames names_;
  std::vector<HeldFile> files_;
  std::optional<KnownMark> mark_;
  std::unique_ptr<Name> former_;  // what it had in the state that is over
};

// Which nodes are known, by name and by file. Threads: all.
class NodeBook : public std::enable_shared_from_this<NodeBook> {
 public:
  explicit NodeBook(dev_t device) : device_(device) {}
  dev_t device() const { return device_; }

  struct Place {
    ForestNodeRef parent{};
    std::string name{};
    TreeRef tree{};
    TreeNodeRef disk{};
    std::optional<Source> source{};
    mode_t type = 0;
    ino_t number = 0;
    std::uint64_t epoch = 0;
    std::uint64_t collections = 0;
    std::optional<KnownMark> mark{};
    std::optional<Content> content{};  // where that was looked for
    // The node of the place where there is one already, kept from ending meanwhile: then the rest
    // is not filled in.
    ForestNodeRef known{};
  };
  // The one node of the place.
  ForestNodeRef ensure(Place place);
  ForestNodeRef find(const ForestNode& parent, const std::string& name) const;
  ForestNodeRef find(const Tree& tree, const TreeNode& disk) const;

  std::vector<ForestNode::Name> names(const ForestNode& node) const;
  std::size_t name_count(const ForestNode& node) const;
  std::vector<ForestNodeRef> parents(const ForestNode& node) const;  // each once
  std::string label(const ForestNode& node) const;  // its tree's, for who does not hold the lock
  // The name leads nowhere from now on; with `only` where it leads to that node.
  void remove_name(const ForestNode& parent, const std::string& name,
                   const TreeNode* only = nullptr);
  using Entry = ForestNode::Name;
  // `to` leads to what `from` led to, at once, and with `exchange` the other way too.
  void rename(const Entry& from, const Entry& to, bool exchange);
  // The file has another inode.
  void move(ForestNode& node, TreeNodeRef disk);
  std::vector<ForestNodeRef> all_of(const Tree& tree) const;
  // Gives nodes to another tree.
  void give(const std::vector<ForestNodeRef>& nodes, const TreeRef& tree);
  // After a rollback, names lead elsewhere: the directories that had one can still be told by it.
  void retire_names_in(const ForestNode& parent);
  ForestNodeRef former(const ForestNode& parent, const std::string& name) const;
  void forget_former(ForestNode& node);
  // A name that it has, or had in a state that is over.
  std::optional<ForestNode::Name> place_of(const ForestNode& node) const;
  struct Former {
    ForestNodeRef node;
    std::string name;
    std::size_t above = kTop;  // which of them it is in
    bool has_others = false;   // in it
    static constexpr std::size_t kTop = SIZE_MAX;
  };
  static std::string path_of(const std::vector<Former>& formers, const Former& one);
  struct Formers {
    std::vector<Former> directories{};
    std::size_t names = 0;  // known in them, of files too
  };
  // Directories of states that are over, at any depth below the root of the tree.
  Formers formers_below(const ForestNode& root) const;
  // The former becomes what the other one is, which nobody else holds.
  void succeed(ForestNode& former, ForestNode& now);

  void add(ForestNode& node, HeldFile file);
  void remove(ForestNode& node, const TreeFile& file);
  std::vector<HeldFile> files(const ForestNode& node) const;

  std::optional<Content> content(const ForestNode& node) const;
  void set_content(ForestNode& node, Content content);
  std::optional<KnownMark> mark(const ForestNode& node) const;
  void set_mark(ForestNode& node, const KnownMark& mark);

 private:
  friend class ForestNode;
  struct FileKey {
    const Tree* tree;
    const TreeNode* disk;
    friend bool operator==(const FileKey&, const FileKey&) = default;
  };
  struct Hash {
    std::size_t operator()(const FileKey& key) const;
  };

  ForestNodeRef known(const Place& place) const REQUIRES(mutex_);
  // These with the lock held. Null: nothing is known by the name.
  static ForestNode* named(const ForestNode& parent, const std::string& name);
  // Out of the node's names; the parent it kept is handed out, to end after the lock.
  static ForestNodeRef drop_name(ForestNode& node, const ForestNode& parent,
                                 const std::string& name);
  static void put_name(ForestNode& node, const Entry& entry);
  using Cleared = std::pair<ForestNodeRef, ForestNodeRef>;  // and its parent: to end unlocked
  // What the name led to, and leads to no more; with `only` where that is it.
  static Cleared clear_name(const ForestNode& parent, const std::string& name,
                            const TreeNode* only = nullptr);
  void forget(ForestNode& node);
  static void leave_formers(ForestNode& node);  // its name is kept
  static ForestNodeRef drop_former(ForestNode& node);
  void drop_names_in(const ForestNode& parent, std::vector<ForestNodeRef>& dropped)
      REQUIRES(mutex_);

  const dev_t device_;
  mutable Mutex<Rank::forest_nodes> mutex_;
  std::unordered_map<FileKey, ForestNode*, Hash> by_file_ GUARDED_BY(mutex_);
};

}  // namespace agentfs::trees
