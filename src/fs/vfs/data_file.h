// SPDX-License-Identifier: MIT
// One file or directory of a data tree. Inside vfs only.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "fs/vfs/data_tree.h"

namespace agentfs::vfs {

class Charge;
class DataHandle;

// What of `which` was and is, as the journal tells it.
json::Object before_and_after(const struct stat& before, const struct stat& after, unsigned which);

// Threads: all.
class DataNode final : public Node {
 public:
  DataNode(std::shared_ptr<DataTree> tree, TreeNodeRef file, Region region)
      : tree_(std::move(tree)), file_(std::move(file)), region_(region) {}
  ~DataNode() override {
    delete kept_as_.load();
    tree_->forget(file_.get());
  }

  const TreeNode& file() const { return *file_; }
  DataTree& tree() const { return *tree_; }
  Region region() const { return region_; }
  void lies_in(Region region, nlink_t names);  // by the name that it was found under last
  std::string named_path() const;              // "" where it has no name any more
  // What a change of it, or of an entry of it, is of: `whole` where the entry is a directory.
  ChangeOrder::Naming naming() const;
  ChangeOrder::Naming naming(const std::string& name, bool whole = false) const;
  bool is_nameless() const { return nameless_; }  // made so, and not given a name yet
  // The workspace or home it lies in; where it has no name yet, the one it was made in.
  std::string place() const;
  // How many names of the file are ours, in the past store, and are not shown as links.
  void hide_links(int change) { hidden_links_.fetch_add(change); }
  // Its last name is about to go, and the past has the inode by this one. Under its lock, alone.
  void keep_as(PastName name);
  bool stop_keeping() { return take_kept() != nullptr; }  // false: it has parted already
  // What it holds, or only its attributes, changes while this is held: the past has a copy by then
  // of what it had by a link. ESTALE as of check_in_place(), but of a directory's attributes.
  Result<Changing> begin_change(bool of_bytes = true);
  // The same for bytes that are cut off by path: nobody writes between the copy and the cut.
  // `by_open`: from then on the size by which the host's kernel appends may be another one.
  Result<ChangingAlone> begin_cut(bool by_open = false);
  bool was_cut_by_open() const { return was_cut_by_open_; }
  // agentfs itself has put another file in its place: what were written here would be lost. The
  // host's kernel looks up anew what it was to open. ESTALE.
  Status check_in_place() const;
  bool is_aside() const;  // by a merge or the like, which has put another in its place
  void retire(bool is_over = true) { is_retired_ = is_over; }
  bool is_retired() const { return is_retired_; }
  // One more descriptor by which it is written past the daemon: while there is one, the host's
  // kernel asks for the attributes each time, since a mapping changes them unseen. They keep what
  // it held once for all of them: by what this gives, `own` for the first.
  // `appends`: it takes nothing away, and what it finds is kept only where others might.
  std::shared_ptr<WriteKeeper> begin_past(const std::shared_ptr<WriteKeeper>& own, bool appends);
  bool end_past(bool appends);                 // whether it was the last one
  std::shared_ptr<WriteKeeper> keeper_past();  // null: there is none
  // The row of what was written, with what was kept for it; by who has a turn at its path.
  Status tell_write(const Caller& writer, TreeChange row, WriteKeeper& keeper);
  // Before bytes from `offset` on change: `file` is a descriptor of it.
  void keep_before(WriteKeeper& keeper, int file, off_t offset);
  // Of whoever has it open: what was written and not told yet.
  Status tell_writes() { return tree_->tell_writes(self()); }
  Status tell_writes_to(const TreeNodeRef& file) const;  // null: nothing
  std::shared_ptr<DataNode> self() {
    return std::static_pointer_cast<DataNode>(shared_from_this());
  }
  // A handle that had written was closed: what the file holds then is a state that nobody has kept.
  void note_closed(const void* by) {
    const void* found = nullptr;
    if (!closed_by_.compare_exchange_strong(found, by) && found != by) closed_by_ = this;
  }
  bool was_closed_by_another(const DataHandle* than) const {
    const void* const by = closed_by_;
    return by != nullptr && by != than;
  }
  // The host's kernel has written pages of a mapping; the next that is closed may be its.
  void note_mapped() { is_mapped_ = true; }
  bool take_mapped() { return is_mapped_.exchange(false); }
  // For the first to write over it.
  bool take_closed() { return closed_by_.exchange(nullptr) != nullptr; }
  void count_open(int change) { opens_.fetch_add(change); }
  const std::atomic<int>& opens() const { return opens_; }  // its descriptors
  // As it is shown, now.
  Result<struct stat> status() const { return shown(TRY(tree_->store().attributes(*file_))); }
  bool is_written_past() const { return writers_past_ > 0; }
  bool is_overwritten_past() const { return overwriters_past_ > 0; }  // perhaps
  // It has an entry that the host's kernel did not make, whose listing is not used again.
  void distrust_listing() { listed_after_ = ~std::uint64_t{0}; }
  // What a merge makes ready in the top directory of a tree is nobody's to see until it has ended.
  bool hides(const std::string& name) const;
  // The row of what was so written until now: what happens next would hide it.
  Status tell_written_past(const struct stat& now);
  // One of several is being closed: where what was kept has been told with a change, what there is
  // now is kept for the others' next one.
  void renew_past(WriteKeeper& keeper);

  mode_t type() const override { return file_->type(); }
  std::string path() const override { return tree_->path_of(*file_); }
  bool takes_descriptor() const override { return true; }
  bool lists_attributes() const override { return true; }
  Result<Attributes> attributes(Request&) override;
  std::optional<timespec> birth() override;
  Result<Attributes> set_attributes(Request&, Handle* open, const SetAttributes& wanted) override;
  Result<std::string> read_link(Request&) override;
  Result<Opened> open(Request&, int flags) override;
  NodeRef told_entry(const std::string& name) override;
  Result<Found> lookup(Request&, const std::string& name) override;
  double absence_validity(const std::string& name) const override;
  Result<Opened> open_directory(Request&) override;
  Result<CreatedNode> create(Request&, const std::string& name, int flags, mode_t mode) override;
  Result<CreatedNode> create_nameless(Request&, int flags, mode_t mode) override;
  Result<Found> make_node(Request&, const std::string& name, mode_t mode, dev_t device) override;
  Result<Found> make_directory(Request&, const std::string& name, mode_t mode) override;
  Result<Found> make_link(Request&, const std::string& name, const std::string& target) override;
  Result<Found> link(Request&, Node& existing, const std::string& name) override;
  Status unlink(Request&, const std::string& name) override;
  Status remove_directory(Request&, const std::string& name) override;
  Status rename(Request&, const std::string& name, Node& new_parent, const std::string& new_name,
                unsigned flags) override;
  Result<struct statvfs> statistics(Request&) override;
  Status access(Request&, int mask) override;
  Status set_xattr(Request&, const std::string& name, std::string_view value, int flags) override;
  Result<std::string> get_xattr(Request&, const std::string& name) override;
  Result<std::string> list_xattr(Request&) override;
  Status remove_xattr(Request&, const std::string& name) override;
  // Tells of the mode that writing has changed, if it has.
  Status tell_mode(Request&, const struct stat& before);

 private:
  void part_from_past();
  std::unique_ptr<const PastName> take_kept();
  TreeNodeRef remembered(const std::string& name) const;  // null: nobody has looked at it
  bool has_directory(const std::string& name) const;
  json::Value keep_former(const std::string& name, const std::string& new_name);
  void follow_region(const std::string& name, DataNode& target, const std::string& new_name);
  bool is_of_merges(const std::string& name) const;  // where they make ready what they bring
  Status may_make(Request&, const std::string& name) const;  // EPERM: the name is the merges'
  // Of a name that is, or is to be, a workspace or home, and is about to change.
  Result<Hold> hold_root(const std::string& name) const;
  // EBUSY: agentfs itself would replace what is written past the daemon.
  Result<Hold> hold_replaced(const Request&, const std::string& name) const;
  std::string child(const std::string& name) const { return path() + "/" + name; }
  Validity validity(const struct stat& attributes) const;
  struct stat shown(struct stat attributes) const;
  bool has_name(const struct stat& attributes) const;
  struct Resizing {
    struct stat before{};
    Kept kept{};
    Changing together{};  // by a descriptor
    ChangingAlone alone{};
  };
  // Before it has other attributes, or a size; what was kept stands there, too, if it is refused.
  Status begin_setting(DataHandle*, std::optional<off_t> size, Resizing&);
  // Before O_TRUNC takes its bytes; nothing for another open.
  Kept keep_truncated(const TreeNode& file, const std::string& path, int flags);
  Found found(const TreeEntry& entry, const std::string& name);
  // `path` is that of the name, as whoever has a turn at it already has it.
  Result<CreatedNode> open_existing(Request&, const std::string& name, const std::string& path,
                                    int flags, mode_t mode);
  static CreatedNode opened(Found entry, std::unique_ptr<TreeFile> file, Caller writer, int flags,
                            bool is_new, Publication publication = {});
  struct Making {
    Undertaking& making;
    Charge& charge;
    class DataGuard* guard = nullptr;  // of what a condition may be of
  };
  // The rows of a made name: told to the journal, or taken back when that cannot be written.
  Result<Found> made(Request&, const Result<TreeEntry>& entry, const std::string& name,
                     const Making& how);

  std::shared_ptr<DataTree> tree_;
  TreeNodeRef file_;
  std::atomic<Region> region_;
  std::atomic<int> hidden_links_ = 0;
  std::atomic<const PastName*> kept_as_ = nullptr;  // owned
  std::atomic<int> writers_past_ = 0;
  std::atomic<int> overwriters_past_ = 0;  // of them
  // Whose state nobody has kept, to be told from others alone; several's: this.
  std::atomic<const void*> closed_by_ = nullptr;
  std::atomic<bool> is_mapped_ = false;
  std::atomic<bool> was_cut_by_open_ = false;
  Mutex<Rank::handle> past_mutex_;
  std::shared_ptr<WriteKeeper> past_keeper_ GUARDED_BY(past_mutex_);  // while there are some
  std::atomic<int> opens_ = 0;
  std::atomic<bool> is_retired_ = false;  // replaced by a restore or the like
  std::atomic<bool> nameless_ = false;    // made without a name, and has none yet
  std::string made_in_;                   // of such a file: as place(); fixed before it is known
  std::atomic<bool> told_ = false;        // its attributes, and not used since
  std::atomic<std::uint64_t> listed_after_ = 0;  // of the tree's rollbacks, when it was opened last
};

}  // namespace agentfs::vfs
