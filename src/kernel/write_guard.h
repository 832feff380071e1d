// SPDX-License-Identifier: MIT
// What vfs asks before the content of a path is replaced, and tells of what was seen of it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/ids.h"
#include "kernel/caller.h"

namespace agentfs {

// An instant at which a path was looked at; a value.
struct Sight {
  Sequence sequence{};        // of the last record then
  std::uint64_t version = 0;  // the last number that was given to an old content then
  std::uint64_t digest = 0;   // of the whole text that was read or written (fnv1a); 0: not known
};

struct PathGeneration {
  std::uint64_t number = 0;  // from 1
  std::string writer{};      // "7<1<root (sed)"; "" where it is not known
};

// An attempt to put something else in the place of what a path holds.
struct Replacement {
  enum class Way : char { text, rename, truncate, remove };  // text: whole, by a tool of an agent
  Way way = Way::text;
  std::string path{};
  // What would stand there, asked where it is refused; null: there is nothing to keep.
  std::function<Result<std::string>()> text{};
  // Of Way::text: what is to be written instead, where both changes go together.
  std::optional<std::string> merged{};
};

// How a path is about to be published.
struct Publishing {
  bool exists = true;
  // What names a path is asked for a second time by the host's kernel when the answer is ESTALE.
  bool is_asked_again = true;
  bool goes_on = false;  // the generation changes meanwhile
  pid_t thread = 0;      // of the process
};

// What a process has once it has met its condition, until it has published.
enum class ClaimNumber : std::uint64_t { none = 0 };

// Threads: all. Paths are those of the mount, free of links; of others than those of workspaces and
// homes nothing is known, and nothing is refused. With no lock above Rank::handle held.
class WriteGuard {
 public:
  virtual ~WriteGuard() = default;

  // --- agents: what each of their processes has seen
  // Whether a command runs: else only tools can be an agent's.
  virtual bool watches() const = 0;
  virtual Sight now() const = 0;
  // Without a sequence: it has written there, and what it has seen is what it had seen before.
  virtual void saw(const Caller& caller, const std::string& path, const Sight& sight) = 0;
  // Whether an agent has seen what is there.
  virtual bool has_seen(const Caller& caller, const std::string& path) const = 0;
  // ESTALE: an agent would overwrite what it has not seen; what it would have written is kept.
  virtual Status may_replace(const Caller& caller, Replacement& attempt) = 0;

  // --- conditions: user.agentfs.if-gen
  virtual bool has_conditions() const = 0;
  // Whether this process has one that is not met yet.
  virtual bool has_condition(const Caller& caller, const std::string& path) const = 0;
  // The next publishing of the path by this process of the host is to find this generation. ESTALE
  // where it does not hold now, EAGAIN where there are too many.
  virtual Status set_condition(const Caller& caller, const std::string& path,
                               std::uint64_t generation, pid_t thread) = 0;
  // Before the process publishes the path: takes its condition off. ESTALE where it does not hold,
  // or another process, too, is about to publish on the same one. None: there was no condition.
  virtual Result<ClaimNumber> meet_condition(const Caller& caller, const std::string& path,
                                             const Publishing& how) = 0;
  // What was to be published was not: the condition waits for the next time.
  virtual void release_condition(ClaimNumber claim) = 0;
  // It has been published, and told: by its generation others know.
  virtual void end_publishing(ClaimNumber claim) = 0;
  // Whether any process has one: then it goes along with a name.
  virtual bool has_claims() const = 0;
  // Conditions and claims go along with a directory, claims with a file.
  virtual void directory_renamed(const std::string& path, const std::string& to,
                                 bool exchanged) = 0;
  virtual void file_renamed(const std::string& path, const std::string& to, bool exchanged) = 0;

  virtual std::optional<PathGeneration> generation(const std::string& path) const = 0;
  // What had the path, and what was below it, has it no more: who has cut one of those and goes on
  // writing it publishes nothing there.
  virtual void files_gone(const std::string& path) = 0;
};

}  // namespace agentfs
