// SPDX-License-Identifier: MIT
// STATE: where everything that agentfs keeps lies on the host, and who may use it now.
#pragma once

#include <sys/types.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace agentfs {

// STATE/
//   journal/segments/*.jsonl      what has happened
//   keys/journal.ed25519          signs its head
//   agentfs.sqlite                the fold of the journal
//   blobs/hh/<hash>               large results
//   conflicts/<n>/                what agents were refused
//   trees/{home,workspaces,tmp}/  plain files
//   git/<workspace>.git           history of those that are no repositories
//   etc/                          documents
//   log/agentfs.log               what went wrong
//   lock, daemon.pid              who uses it
//   format, format.copy           the version of all this
//   past/                         old contents of files
//   clock                         where the wall clock has been set
//   merges/, restores/            those under way
//   quarantine/<time>/            what fsck set aside
//   backup-<format>-<time>/       and migrations
class StateDirectory {
 public:
  enum class Use { serve, check };
  // Makes what is missing, STATE of mode 0700, takes the lock, and brings an older format to this
  // one. EBUSY names the daemon that has it, ENOTDIR what is in the place of a directory; to be
  // checked a state may have such, and what its disk does not give.
  static Result<StateDirectory> acquire(const std::string& path, Use use = Use::serve);
  // False: nothing is there, or an empty directory, or one that has nothing of a state.
  static bool is_there(const std::string& path);
  // EPERM where it is another user's: what that one may put there, links out of it for one, is
  // followed and written, and what this one would make there that one could not read. Before
  // anything in it counts.
  static Status check_owner(const std::string& path);
  static std::string standard();  // $XDG_DATA_HOME/agentfs, or ~/.local/share/…

  // Those that every state has, a parent before what is below it; and making what is missing.
  static std::span<const std::string_view> directories();
  static std::span<const std::string_view> others();  // made when they are needed
  Status make_directories() const;
  // Which of these this one had not, though it was not new; of those below each other the first.
  const std::vector<std::string>& lacked() const { return lacked_; }
  // What was found damaged, and mended, by acquire().
  const std::vector<std::string>& problems() const { return problems_; }

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  void write_pid(pid_t daemon) const;  // daemon.pid, after a restart anew
  void remove_pid() const;

 private:
  StateDirectory() = default;
  std::string path_;
  std::vector<std::string> lacked_;
  std::vector<std::string> problems_;
  // Shared with forked children: held as long as one of them lives. The directory itself is locked,
  // too: the lock on a file that was removed keeps nobody out.
  UniqueFd lock_;
  UniqueFd place_;
};

// With what to do about it, where it is for what the disk does not give.
Error with_advice(Error why);

// The daemon that daemon.pid names; 0 without one.
pid_t read_daemon_pid(const std::string& state);

}  // namespace agentfs
