// SPDX-License-Identifier: MIT
// A small tree of every kind of row, over plain data, and requests of hosts and agents upon it.
#pragma once

#include <fcntl.h>

#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "catch.h"
#include "fs/vfs/directory.h"
#include "fs/vfs/file_system.h"
#include "fs/vfs/wait_for.h"

namespace agentfs::vfs {

// What the rows show and change. Threads: all.
struct Box {
  explicit Box(std::string id) : name(std::move(id)) {}
  const std::string name;
  mutable std::mutex mutex;
  std::string state = "idle";
  std::string level = "1";
  std::vector<std::string> commands;
  std::vector<std::string> messages;
  std::map<std::string, std::string> documents{{"a.toml", "x = 1\n"}};
  std::vector<std::pair<std::string, Completion<std::string>>> requests;  // parked replies
  std::vector<Completion<std::string>> waits;
  Sink sink;
  bool dead = false;
  bool unsubscribed = false;
};

struct World {
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<Box>> boxes{{"7", std::make_shared<Box>("7")}};
  std::shared_ptr<Box> box(const std::string& name = "7");
  void reap(const std::string& name);
};
World& world();  // of the test that runs

const DirectoryType& test_root();

class FakeServices : public Services {
 public:
  Caller identify(const HostCaller& host) override {
    Caller caller;
    caller.process = {1};
    caller.host = host;
    return caller;
  }
  Result<Caller> ensure_caller(const HostCaller& host) override { return identify(host); }
  void note_error(const Caller&, std::string_view path, const Error& error) override;
  Status check_room(bool) override {
    return is_full ? Status(fail(ENOSPC, "the disk is full, as the test wants it")) : ok();
  }
  Result<Hold> hold_import(const std::string& root) override {
    to_be_removed.push_back(root);
    return Hold();
  }
  Status record_change(const Caller&, const TreeChange&) override { return ok(); }
  Status record_control(const Caller&, const std::string& path, std::string_view text) override;
  Status may_change(const Caller&, const std::string& path) override;
  std::optional<FileOwner> owner_of(std::string_view path) override;
  Status sync() override { return ok(); }
  void count(std::string_view, std::string_view) override {}
  const Clock& clock() override { return clock_; }
  EventLoop& loop() override { return loop_; }
  WorkerPool& notices() override { return notices_; }

  FakeClock clock_;
  EventLoop loop_;
  WorkerPool notices_{1};
  std::mutex mutex;
  std::vector<std::string> errors;
  std::vector<std::string> records;
  std::function<void()> on_record;  // called once, as a change is recorded
  bool is_full = false;
  std::vector<std::string> to_be_removed;  // trees, perhaps of an import
  std::string closed;                      // a path that agents may not change, with all below it
  std::map<std::string, uid_t> owners;     // of paths and what is below them
};

struct TestRequest final : Request {
  explicit TestRequest(pid_t pid, std::string session = "s1") {
    host_.pid = pid;
    host_.session = std::move(session);
    caller_.process = {1};
    caller_.host = host_;
  }
  const HostCaller& host() const override { return host_; }
  const Caller& caller() const override { return caller_; }
  Result<Caller> writer() const override { return caller_; }
  TreeCaller tree() const override { return {}; }
  bool may_block() const override { return blocks; }
  bool appends() const override { return is_appending; }
  HostCaller host_;
  Caller caller_;
  bool blocks = true;
  bool is_appending = false;
};

// A tree of its own for each test, and the calls of a host's process in one line each.
struct TestTree {
  TestTree() : TestTree(std::map<std::string, TreeStore*>()) {}
  // Data trees by path; shared: other users may use the mount.
  explicit TestTree(std::map<std::string, TreeStore*> trees, bool shared = false);
  Result<Found> find(Request& request, const std::string& path);
  Found get(Request& request, const std::string& path);
  std::shared_ptr<Handle> open(Request& request, const std::string& path, int flags);
  std::string read(Request& request, const std::string& path);
  static Result<std::string> read(Request& request, Handle& handle, off_t offset,
                                  std::size_t count = 65536);
  static int write(Request& request, Handle& handle, off_t offset, std::string_view text);
  // As `printf TEXT > PATH`: the errno of the write, else of the close.
  int save(Request& request, const std::string& path, std::string_view text);
  int create(Request& request, const std::string& path, std::string_view text);
  int rename(Request& request, const std::string& from, const std::string& to);
  std::vector<std::string> names(Request& request, const std::string& path);

  FakeServices services;
  FileSystem files;
  std::shared_ptr<Channel> channel = files.open_channel();
};

template <class T>
int code(const Result<T>& result) {
  return result ? 0 : result.error().code;
}

}  // namespace agentfs::vfs
