// SPDX-License-Identifier: MIT
// Turn commits by agentfs-commit, a process for each: nothing in a repository can hurt the daemon.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "backends/repo.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mutex.h"

namespace agentfs {

struct CommitLimits {
  std::chrono::milliseconds deadline{60'000};  // of one commit; then its process is killed
  std::chrono::milliseconds patience{2'000};   // waiting until fewer than `at_once` are under way
  std::chrono::milliseconds first_rest{120'000};  // after a killed one; doubled each time
  std::chrono::milliseconds longest_rest{3'600'000};
  std::size_t at_once = 3;  // fewer than the driver pool has threads
  bool in_advance = true;   // the next commits' processes wait from the first one's end on
};

namespace git {
class CommitChild;
}

// The process gets its order by its standard input, confines itself to the worktree and to
// TurnCommit::git_directory, and answers in a line; what it writes besides goes to the log. It
// serves one order and ends. From the first commit on others wait, initialised, for the next
// orders: two, as a turn makes two commits where others have been at work, too. Where they have
// died, which costs the commit nothing but time, one is started in their place.
//
// A worktree whose commit took too long, or crashed, rests: until then commit() fails at once.
//
// Threads: all; calls for one worktree must not overlap. commit() blocks; it must be called from a
// thread that lives on, since a process started for it dies with it.
// Errors: those of open_git(); ETIMEDOUT at the deadline; EAGAIN while the worktree rests; EBUSY
// where too many are under way; EIO where the process crashed; EINTR after stop().
class CommitProcess final : public Repository {
 public:
  // `clock` is borrowed; `program` is agentfs-commit (find_own_program()).
  CommitProcess(const Clock& clock, std::string program, CommitLimits limits = {});
  ~CommitProcess() override;

  Result<std::string> commit(const TurnCommit& commit) override;
  // Ends what is under way and what waits, at once; what comes later fails.
  void stop();

 private:
  struct Place {
    int cut_short = 0;             // in a row
    std::int64_t rests_until = 0;  // on the steady clock
    std::int64_t locks_from = 0;   // just after the last one's end
  };

  Result<std::int64_t> enter(const std::string& worktree);
  std::int64_t leave(const std::string& worktree, bool cut_short);
  Result<std::string> run(const TurnCommit& commit, std::int64_t locks_from, bool& cut_short);
  // The one that waits longest, if one is alive; nullptr: none. The dead go.
  std::unique_ptr<git::CommitChild> take_waiting();
  // Has the keeper start as many as are to wait: a start holds up who asks for it.
  void want_more();
  bool wait_until_wanted();  // false: the daemon is ending
  void keep_some_waiting();

  const Clock& clock_;
  const std::string program_;
  const CommitLimits limits_;
  const std::int64_t started_;
  UniqueFd stopped_;  // an eventfd, readable from stop() on
  Mutex<Rank::driver> mutex_;
  std::condition_variable_any changed_;
  std::size_t running_ GUARDED_BY(mutex_) = 0;
  bool stopping_ GUARDED_BY(mutex_) = false;
  bool wanted_ GUARDED_BY(mutex_) = false;                                    // more that wait
  std::deque<std::unique_ptr<git::CommitChild>> waiting_ GUARDED_BY(mutex_);  // oldest first
  std::map<std::string, Place> places_ GUARDED_BY(mutex_);                    // that rest
  std::thread keeper_;  // starts what waits, which dies with it
};

}  // namespace agentfs
