// SPDX-License-Identifier: MIT
// Keeps agents from overwriting what they have not seen, and programs from publishing on what is no
// longer there.
#pragma once

#include <atomic>
#include <string>

#include "kernel/conditions.h"
#include "kernel/generations.h"
#include "kernel/sightings.h"
#include "kernel/write_guard.h"

namespace agentfs {

class Kernel;

// A part of its kernel. Threads: all. Persons are refused nothing: history keeps both versions. Nor
// are changes of what a .gitignore names or lies in a home's .cache, and those by which nothing is
// lost.
class StaleWrites final : public WriteGuard {
 public:
  explicit StaleWrites(Kernel& kernel) : kernel_(kernel) {}

  bool watches() const override { return commands_.load(std::memory_order_relaxed) != 0; }
  Sight now() const override;
  void saw(const Caller& caller, const std::string& path, const Sight& sight) override;
  bool has_seen(const Caller& caller, const std::string& path) const override;
  Status may_replace(const Caller& caller, Replacement& attempt) override;
  bool has_conditions() const override { return conditions_.any(); }
  bool has_condition(const Caller& caller, const std::string& path) const override {
    return conditions_.awaits(caller.host, path);
  }
  Status set_condition(const Caller& caller, const std::string& path, std::uint64_t generation,
                       pid_t thread) override;
  Result<ClaimNumber> meet_condition(const Caller& caller, const std::string& path,
                                     const Publishing& how) override;
  void release_condition(ClaimNumber claim) override { conditions_.release(claim); }
  void end_publishing(ClaimNumber claim) override { conditions_.end(claim); }
  bool has_claims() const override { return conditions_.any_claim(); }
  void directory_renamed(const std::string& path, const std::string& to, bool exchanged) override {
    conditions_.follow(path, to, exchanged);
  }
  void file_renamed(const std::string& path, const std::string& to, bool exchanged) override {
    conditions_.follow_file(path, to, exchanged);
  }
  void files_gone(const std::string& path) override { conditions_.forget(path); }
  std::optional<PathGeneration> generation(const std::string& path) const override;

  // Whether what the process wrote last there is not this text: it was merged with another's.
  bool was_merged(ProcessId process, const std::string& path, std::string_view text) const;
  void count_commands(std::size_t running) { commands_ = running; }
  void forget(ProcessId process) { sightings_.forget(process); }  // it has ended

 private:
  struct Found {  // of a path, now
    Generation last{};
    Sequence by_other{};
  };
  Found look(const std::string& path, ProcessId process) const;
  std::uint64_t number_of(const std::string& path) const;
  // What the process saw; nothing where it is not kept, or not known to be that.
  std::optional<std::string> base_of(const std::string& path, const Sight& seen) const;
  // Refuses it, unless it changes nothing or goes together with what was changed.
  Status judge(const Caller& caller, Replacement& attempt, const std::optional<Sight>& seen,
               const Found& found);
  Status refuse(const Caller& caller, const Replacement& attempt, std::string sentence,
                const std::optional<std::string>& base);

  Kernel& kernel_;
  Sightings sightings_;
  Conditions conditions_;
  std::atomic<std::size_t> commands_ = 0;
};

}  // namespace agentfs
