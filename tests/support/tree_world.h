// SPDX-License-Identifier: MIT
// A kernel and its whole tree without a mount, with objects in every collection, and the rows and
// files that are in it: found by walking the tables, so that a new row is tested at once.
#pragma once

#include <fcntl.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backends/tree_store.h"
#include "base/text.h"
#include "fs/services/kernel_services.h"
#include "fs/tree/tree.h"
#include "fs/vfs/file_system.h"
#include "kernel/kinds.h"
#include "support/test_kernel.h"

namespace agentfs::test {

// One who asks, without a host's kernel in between. Not shared between threads. Has no host
// process, so that each stat is of this moment.
class LocalCaller final : public vfs::Request {
 public:
  LocalCaller() = default;
  explicit LocalCaller(Caller caller, bool may_block = true)
      : caller_(std::move(caller)), may_block_(may_block) {}
  const HostCaller& host() const override { return host_; }
  const Caller& caller() const override { return caller_; }
  Result<Caller> writer() const override { return caller_; }
  TreeCaller tree() const override { return {}; }
  bool may_block() const override { return may_block_; }
  vfs::Part part() const override { return part_; }
  void come_by(vfs::Part part) { part_ = part; }
  bool appends() const override { return appends_; }
  void open_to_append() { appends_ = true; }
  bool is_written_back() const override { return is_written_back_; }
  void write_back() { is_written_back_ = true; }  // from here on, what is stored in a mapping
  void put_elsewhere() override { ++put_elsewhere_; }
  int times_put_elsewhere() const { return put_elsewhere_; }

 private:
  HostCaller host_;
  Caller caller_;
  bool may_block_ = true;
  vfs::Part part_ = vfs::Part::whole;
  bool appends_ = false;
  bool is_written_back_ = false;
  int put_elsewhere_ = 0;
};

// A directory made by a table: of rows, or, where `only` is a row, of one collection's objects.
struct DirectoryAt {
  std::string path;
  const vfs::DirectoryType* type = nullptr;
  vfs::Key key{};
  const vfs::RowInfo* only = nullptr;
  bool takes_names = false;  // it lies over a real directory, for what the table does not have
};

// A row of one object's directory; placeholders are no files and are not among them.
struct RowAt {
  std::string path;
  DirectoryAt directory;
  std::size_t index = 0;

  const vfs::RowInfo& info() const { return directory.type->rows()[index]; }
};

// A name that listings show.
struct ListedAt {
  std::string path;
  vfs::DirectoryItem item;
  vfs::Found found;
};

// The processes: init (of root, who asks in all tests), one idle, one at work with messages and
// calls, one dead. Not shared between threads.
class TreeWorld {
 public:
  TreeWorld();
  ~TreeWorld();
  TreeWorld(const TreeWorld&) = delete;
  TreeWorld& operator=(const TreeWorld&) = delete;

  Kernel& kernel() { return base_.kernel(); }
  TestKernel& base() { return base_; }
  vfs::FileSystem& files() { return *files_; }
  LocalCaller& request() { return request_; }
  // The daemon ends, and another one begins over the same state.
  void restart();
  void become(Caller caller) { request_ = LocalCaller(std::move(caller)); }
  std::string path_of(ProcessId pid, std::string_view name) const;

  std::vector<DirectoryAt> directories();
  std::vector<RowAt> rows();
  // Every listed name outside the data trees, whose roots are still among them.
  std::vector<ListedAt> listing();

  Result<vfs::Found> find(const std::string& path);
  vfs::NodeRef get(const std::string& path);  // throws where there is none
  std::vector<vfs::DirectoryItem> items(vfs::Node& directory);
  std::string read(const std::string& path);
  // As a program does it: open, one write, close. 0, or the errno of the first that failed.
  int write(const std::string& path, std::string_view text, int flags = O_WRONLY | O_TRUNC);
  std::uint64_t head();               // number of the journal's last record
  std::vector<std::string> errors();  // of the one who asks
  std::string state_text();           // all listed values: what a failed change leaves alone

  ProcessId init, idle, busy, dead;

 private:
  void make_tree(std::string times);
  void make_objects();

  TestKernel base_;
  std::map<std::string, std::unique_ptr<TreeStore>> trees_;
  std::unique_ptr<KernelServices> services_;
  std::unique_ptr<vfs::FileSystem> files_;
  LocalCaller request_;
};

std::string read_all(vfs::Request& request, vfs::Handle& handle, std::size_t piece = 65536);
int write_once(vfs::Request& request, vfs::Handle& handle, std::string_view text);
// The errnos that the contract gives a meaning.
bool is_in_vocabulary(int code);
// "Sets the priority.": begins as a sentence does and ends as one.
bool is_sentence(std::string_view doc);
bool is_written(vfs::Kind kind);  // setting, control, reply, message
bool is_text(vfs::Kind kind);     // those and value
// A directory's path and a name in it.
std::string below(const std::string& directory, std::string_view name);
std::string parent_of(const std::string& path);
std::string name_of(const std::string& path);

}  // namespace agentfs::test
