// SPDX-License-Identifier: MIT
// Drivers, a repository, a namespace and userland that do what the test says.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "kernel/kernel.h"

namespace agentfs::test {

// Keeps what it was asked. Answers as play() says, else in order from what reply() gave; requests
// that come when there is neither, or after hold(), wait for an answer or a cancel. Threads: all.
class FakeModel final : public ModelDriver {
 public:
  using Play = std::function<Result<ChatReply>(const ChatRequest&)>;
  explicit FakeModel(Play play = {}) : play_(std::move(play)) {}
  void start(ChatRequest request, Progress progress, Completion<ChatReply> done) override;

  void play(Play play);
  void reply(Result<ChatReply> reply);  // to the oldest request waiting, or the next to come
  void hold();
  void release();  // plays those that wait, and those to come

  std::vector<ChatRequest> requests() const;
  ChatRequest request(std::size_t index) const;  // from 0
  std::size_t asked() const;
  std::size_t waiting() const;
  std::size_t cancelled() const { return cancelled_; }

 private:
  struct Waiting {
    ChatRequest request;
    Completion<ChatReply> done;
  };
  mutable Mutex<Rank::driver> mutex_;
  Play play_ GUARDED_BY(mutex_);
  bool holding_ GUARDED_BY(mutex_) = false;
  std::vector<ChatRequest> requests_ GUARDED_BY(mutex_);
  std::deque<Result<ChatReply>> replies_ GUARDED_BY(mutex_);
  std::deque<Waiting> waiting_ GUARDED_BY(mutex_);
  std::atomic<std::size_t> cancelled_ = 0;
};
ChatReply text_reply(std::string text, std::int64_t tokens_in = 10, std::int64_t tokens_out = 5);

// Answers each command by `run`; without it, and where it gives nothing, a command runs until it
// is cancelled. Threads: all, once `run` is set.
class FakeExec final : public ExecDriver {
 public:
  std::function<std::optional<Result<ExecReply>>(const ExecRequest&)> run;
  void start(ExecRequest request, std::function<void(const ExecStarted&)> started,
             Completion<ExecReply> done) override;
  std::vector<ExecRequest> requests() const;

 private:
  mutable Mutex<Rank::driver> mutex_;
  std::vector<ExecRequest> requests_ GUARDED_BY(mutex_);
};

class FakeRepository final : public Repository {
 public:
  Result<std::string> commit(const TurnCommit& commit) override;
  std::vector<TurnCommit> commits() const;
  void fail_next(Error error);
  std::size_t calls() const;                         // also those that failed
  std::function<void(const TurnCommit&)> on_commit;  // within each one that does not fail

 private:
  std::size_t calls_ GUARDED_BY(mutex_) = 0;
  mutable Mutex<Rank::driver> mutex_;
  std::vector<TurnCommit> commits_ GUARDED_BY(mutex_);
  std::optional<Error> failure_ GUARDED_BY(mutex_);
};

// Files by path in a map; directories are what lies above them and what make_directory() made.
// Changes below the data trees are recorded before they are made. Threads: all.
class FakeNamespace final : public Namespace {
 public:
  std::string trees{};  // of the host: what are directories in it are here, too
  void put(const std::string& path, std::string text);
  void make_directory(const std::string& path);
  std::optional<std::string> get(const std::string& path) const;
  std::size_t writes(const std::string& path) const;
  // Called within each read, with no lock held: to hold it up, or to look at what else runs.
  void on_read(std::function<void(const std::string& path)> callback);
  std::size_t most_readers() const { return most_readers_; }  // at one time
  void fail_reads(const std::string& path, int code);         // from now on
  // What a command gives; without it there are no command files.
  std::function<Result<std::string>(const Caller&, const std::string&, const std::string&)>
      on_command;
  void hold_commands();  // from now on they wait, until they are cancelled
  std::size_t commands() const { return commands_; }

  Result<struct stat> attributes(const Caller&, const std::string& path) override;
  Result<std::string> read(const Caller&, const std::string& path, std::uint64_t offset,
                           std::uint64_t limit) override;
  Status write(const Caller&, const std::string& path, std::string_view text) override;
  Result<std::vector<NamespaceEntry>> list(const Caller&, const std::string& path) override;
  Status remove(const Caller&, const std::string& path) override;
  Status access(const Caller&, const std::string&, int) override { return ok(); }
  using Namespace::restore;
  Status restore(const Caller&, const std::vector<RestoreStep>& steps,
                 RestoreCourse& course) override;
  Result<Hold> begin_snapshot(const std::string&) override { return Hold(); }
  Status replace_tree(const std::string&, const Exchange& exchange) override {
    std::vector<std::string> gone;
    TRY(exchange.act(gone));
    return exchange.tell ? exchange.tell() : ok();
  }
  void refresh(const std::vector<TreeEvent>& changes) override {
    if (on_refresh) on_refresh(changes);
  }
  std::function<void(const std::vector<TreeEvent>&)> on_refresh;
  void command(const Caller&, const std::string& path, std::string line,
               Completion<std::string> reply) override;

 private:
  bool is_directory(const std::string& path) const REQUIRES(mutex_);
  mutable Mutex<Rank::driver> mutex_;
  std::map<std::string, std::string> files_ GUARDED_BY(mutex_);
  std::map<std::string, bool> directories_ GUARDED_BY(mutex_);
  std::map<std::string, std::size_t> writes_ GUARDED_BY(mutex_);
  std::map<std::string, int> failing_ GUARDED_BY(mutex_);
  std::function<void(const std::string&)> on_read_ GUARDED_BY(mutex_);
  std::atomic<bool> holds_commands_ = false;
  std::atomic<std::size_t> commands_ = 0;
  std::atomic<std::size_t> readers_ = 0;
  std::atomic<std::size_t> most_readers_ = 0;
};

// Counts what it is told; an agent's answers are the test's own business.
class FakeUserland final : public Userland {
 public:
  void wake(ProcessId pid) override;
  void interrupt(ProcessId pid) override;
  Result<std::string> context(const Process&) override { return std::string("context\n"); }
  Result<std::string> context_why(const Process&) override { return std::string("why\n"); }
  int wakes(ProcessId pid) const;
  int interrupts(ProcessId pid) const;

 private:
  mutable Mutex<Rank::queue> mutex_;
  std::map<ProcessId, int> wakes_ GUARDED_BY(mutex_);
  std::map<ProcessId, int> interrupts_ GUARDED_BY(mutex_);
};

}  // namespace agentfs::test
