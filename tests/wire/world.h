// SPDX-License-Identifier: MIT
// A small table of rows, one of each kind, that do what the test says; and the services of a file
// system over them, which remember what they were told.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/event_loop.h"
#include "fs/vfs/directory.h"
#include "fs/vfs/services.h"

namespace agentfs::test {

// What the rows are about. There is one at a time, since rows are functions. Threads: all.
class World {
 public:
  static World& now();
  World();
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  std::string value() const;
  void set_value(std::string value);
  void add_thing(const std::string& name);
  void remove_thing(const std::string& name);
  std::vector<std::string> things() const;
  void did(std::string what);
  std::vector<std::string> done() const;  // commands and messages, in order

  // Requests on the reply file and reads of `wait`, as they come.
  void park(std::string request, Completion<std::string> answer);
  std::size_t parked() const;
  std::size_t cancelled() const;
  bool answer(Result<std::string> answer);  // the oldest; false: there is none
  void cancel_quietly(bool on);  // a cancelled one stays parked: its server does not stop at once
  vfs::Unsubscribe follow(vfs::Sink sink);
  void push(std::string_view text, bool end = false);
  std::size_t followers() const;

 private:
  struct Waiting {
    std::uint64_t number = 0;
    std::string request;
    Completion<std::string> answer;
  };
  void cancelled(std::uint64_t number);

  mutable Mutex<Rank::driver> mutex_;
  std::string value_ GUARDED_BY(mutex_) = "first\n";
  std::map<std::string, bool> things_ GUARDED_BY(mutex_);
  std::vector<std::string> done_ GUARDED_BY(mutex_);
  std::deque<Waiting> waiting_ GUARDED_BY(mutex_);
  std::uint64_t next_ GUARDED_BY(mutex_) = 1;
  std::size_t cancelled_ GUARDED_BY(mutex_) = 0;
  bool quiet_ GUARDED_BY(mutex_) = false;
  std::map<std::uint64_t, vfs::Sink> sinks_ GUARDED_BY(mutex_);
};

const vfs::DirectoryType& world_root();

struct ChangeRow {
  std::string operation;
  std::string path;
  std::uint64_t bytes = 0;
  std::string other{};
  std::string details{};  // as JSON; "" for none
  friend bool operator==(const ChangeRow&, const ChangeRow&) = default;
};

// Threads: all.
class FakeServices final : public vfs::Services {
 public:
  FakeClock fake_clock;

  Caller identify(const HostCaller& host) override;
  Result<Caller> ensure_caller(const HostCaller& host) override;
  void note_error(const Caller& caller, std::string_view path, const Error& error) override;
  Status check_room(bool) override { return ok(); }
  Status record_change(const Caller& caller, const TreeChange& change) override;
  Status record_control(const Caller& caller, const std::string& path,
                        std::string_view text) override;
  Status may_change(const Caller&, const std::string&) override { return ok(); }
  std::optional<vfs::FileOwner> owner_of(std::string_view) override { return std::nullopt; }
  Status sync() override;
  void count(std::string_view session, std::string_view operation) override;
  const Clock& clock() override { return fake_clock; }
  EventLoop& loop() override { return loop_; }
  WorkerPool& notices() override { return notices_; }

  std::vector<ChangeRow> take_changes();  // since the last call
  std::vector<pid_t> authors() const;     // of the changes
  std::vector<std::string> errors() const;
  int counted(const std::string& operation) const;
  void refuse_changes(bool on);
  // From now on this process of the host is an agent of its own.
  void make_agent(pid_t host_pid, ProcessId process);

 private:
  mutable Mutex<Rank::log> mutex_;
  std::vector<ChangeRow> changes_ GUARDED_BY(mutex_);
  std::vector<pid_t> authors_ GUARDED_BY(mutex_);
  std::vector<std::string> errors_ GUARDED_BY(mutex_);
  std::map<std::string, int> counts_ GUARDED_BY(mutex_);
  bool refusing_ GUARDED_BY(mutex_) = false;
  std::map<pid_t, ProcessId> agents_ GUARDED_BY(mutex_);
  EventLoop loop_;
  WorkerPool notices_{1};
};

}  // namespace agentfs::test
