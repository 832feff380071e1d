// SPDX-License-Identifier: MIT
// A change of a data tree as limits see it: may it be made, and what has it become. Inside vfs
// only.
#pragma once

#include <fcntl.h>
#include <sys/statvfs.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fs/vfs/quota_table.h"

namespace agentfs::vfs {

class DataHandle;
class DataNode;
class DataTree;
class Request;

// Lives over one change: first room is asked for (EDQUOT, told to the caller's errors), at most
// once; then the change is made; at the end all that it may have touched is looked at. Where there
// is no limit, nothing is done. Not shared between threads.
class Charge {
 public:
  // Without a request nobody is told.
  Charge(DataTree& tree, Request* request);
  ~Charge();
  Charge(const Charge&) = delete;
  Charge& operator=(const Charge&) = delete;

  // --- room
  // For a new name in the directory; the bytes are those beside an inode.
  Status make(DataNode& directory, std::uint64_t bytes);
  Status link(DataNode& directory);  // one more name in it
  // For bytes of a range that the disk has not given yet.
  Status write(DataNode& node, int file, off_t offset, std::uint64_t length);
  Status attribute(DataNode& node, std::uint64_t bytes);  // of so many bytes, with its name
  Status give(DataNode& node, uid_t user);                // to another user
  struct Name {
    DataNode& directory;
    const std::string& name;
  };
  Status rename(const Name& from, const Name& to, unsigned flags);

  // --- what is looked at in the end
  void touch(DataNode& node);
  void made(std::shared_ptr<DataNode> node);
  void made_nameless(const DataNode& directory, std::shared_ptr<DataNode> node);
  void remove(DataNode& directory, const std::string& name);  // before it is

 private:
  struct Watched {
    std::shared_ptr<DataNode> node;
    QuotaTable::Why why;
    bool is_written = false;  // its bytes alone
  };
  std::shared_ptr<DataNode> find(DataNode& directory, const std::string& name);
  bool covers(const DataNode& node);
  void know(DataNode& node);
  void watch(DataNode& node, QuotaTable::Why why);
  Status tell(Status room, const DataNode& node);
  Status add(DataNode& directory, QuotaLedger::Growth growth);
  Status reserve(const QuotaLedger::Payers& payers, QuotaLedger::Growth growth);

  DataTree& tree_;
  QuotaTable& table_;
  Request* const request_;
  const unsigned side_;
  const bool is_on_;
  const std::uint64_t walk_before_;
  QuotaLedger::Reservation reservation_;
  std::vector<Watched> watched_;
  std::vector<std::shared_ptr<DataNode>> moved_;  // directories
};

// A descriptor of a node: its room is given back by the last one, where it has no name any more.
class OpenCount {
 public:
  OpenCount(std::shared_ptr<DataNode> node, DataHandle* writer);  // null: it only reads
  ~OpenCount();
  OpenCount(const OpenCount&) = delete;
  OpenCount& operator=(const OpenCount&) = delete;

 private:
  const std::shared_ptr<DataNode> node_;
  DataHandle* const writer_;
};

// How much of the limits of the tree at a path is left: statfs(2) tells the lesser of disk and
// limit.
void show_limits(QuotaTable& table, const std::string& path, struct statvfs& statistics);

}  // namespace agentfs::vfs
