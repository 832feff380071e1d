// SPDX-License-Identifier: MIT
// A model of a forest: trees as objects in memory, of which forks and snapshots are plain copies,
// and random operations on them. What it does depends on the seed alone.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace agentfs::test {

struct ModelFile;
using ModelRef = std::shared_ptr<ModelFile>;

struct ModelFile {
  mode_t type = S_IFREG;
  mode_t mode = 0644;
  std::string content{};  // of a symbolic link: its target
  std::map<std::string, std::string> attributes{};
  std::map<std::string, ModelRef> entries{};
  // What the store showed, which must stay until an operation touches it.
  struct Seen {
    ino_t inode = 0;  // the low 32 bits
    std::optional<timespec> modified{};
    std::optional<timespec> changed{};
  };
  std::optional<Seen> seen{};
  bool is_directory() const { return type == S_IFDIR; }
};

// Copies everything; names of one file stay names of one file.
using Copies = std::map<const ModelFile*, ModelRef>;
ModelRef copy_tree(const ModelRef& file, Copies& copies);

struct Operation {
  enum class Kind {
    create,
    mkdir,
    symlink,
    fifo,
    link,
    unlink,
    rmdir,
    rename,
    exchange,
    write,
    truncate,
    cut,
    chmod,
    utimens,
    set_xattr,
    remove_xattr,
    open,
    write_open,
    close_open,
    fork,
    fork_state,
    snapshot,
    rollback,
    drop_tree,
    drop_state,
    rename_tree,
    collect,
    solidify,
    remount,
  };
  Kind kind = Kind::create;
  std::vector<std::string> path{};   // the tree first
  std::vector<std::string> other{};  // of link and rename; the new tree of a fork
  std::string text{};
  std::size_t number = 0;  // of a state or an open file; an offset or a mode
  std::size_t index = 0;   // of an open file
  bool stale = false;      // it must be refused
  std::string shown() const;
};

class World {
 public:
  struct Open {
    ModelRef file;
    ModelRef root;  // of its tree
    bool writable = false;
    bool stale = false;  // of a state that is over
  };

  explicit World(unsigned seed);
  // Chooses an operation and does it to the model.
  Operation step();

  const std::map<std::string, ModelRef>& trees() const { return trees_; }
  const std::map<std::size_t, ModelRef>& states() const { return states_; }
  const std::map<std::size_t, std::string>& owners() const { return owners_; }
  std::map<std::size_t, Open>& open() { return open_; }
  // From now on no operation is about a state.
  void forget_states() { states_.clear(); }
  ModelRef at(const std::vector<std::string>& path) const;

 private:
  using Path = std::vector<std::string>;
  std::size_t pick(std::size_t below);
  bool chance(unsigned percent) { return pick(100) < percent; }
  std::optional<Path> any(bool (*wanted)(const ModelFile&));
  std::optional<Path> free_place();
  void touch(ModelFile& file, bool content);
  void put(const Path& path, ModelRef file);
  void take(const Path& path);
  ModelRef parent(const Path& path) const;
  std::string new_tree();
  void end_states_of(const ModelRef& root);

  std::optional<Operation> choose();
  std::optional<Operation> choose_entry(std::size_t which);
  std::optional<Operation> choose_change(std::size_t which);
  std::optional<Operation> choose_open(std::size_t which);
  std::optional<Operation> choose_tree(std::size_t which);
  std::optional<Operation> choose_state(std::size_t which);
  std::optional<Operation> fork(const std::string& tree);
  std::optional<Operation> snapshot(const std::string& tree);
  std::optional<Operation> make(Operation::Kind kind, mode_t type);
  std::optional<Operation> rename();
  std::optional<Operation> remove();

  std::mt19937 random_;
  std::map<std::string, ModelRef> trees_;
  std::map<std::size_t, ModelRef> states_;
  std::map<std::size_t, std::string> owners_;  // the tree a state is of, while that is there
  std::map<std::size_t, Open> open_;
  std::size_t next_tree_ = 1;
  std::size_t next_state_ = 1;
  std::size_t next_open_ = 1;
};

}  // namespace agentfs::test
