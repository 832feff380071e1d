// SPDX-License-Identifier: MIT
// A model that needs no network and no chance: it plays a scenario.
#pragma once

#include <memory>
#include <string>

#include "backends/model_driver.h"
#include "base/event_loop.h"
#include "base/mutex.h"

namespace agentfs {

// Plays settings.scenario (its form: scenario.h); without one it says that no language model is
// configured. Keeps nothing between requests: the answer follows from the conversation alone, so
// a request that is made again after a crash is answered the same. Every text begins "[script] ".
// Errors: ENOENT where the scenario's file is missing, EFBIG where it has more than 16 MiB, EBADMSG
// with the place where it is malformed, EINTR cancelled.
//
// Threads: start() from any, which reads the file; progress and answers come on the loop's thread.
// The loop outlives the driver; the destructor ends what waits with EINTR, on its own thread.
class ScriptModelDriver final : public ModelDriver {
 public:
  // A path of /home, /tmp or /workspaces, below `mountpoint`, or that the host does not have is
  // looked for below `trees`, the host directory of the mount's plain files, so that one who sees
  // the mount alone can name a scenario.
  explicit ScriptModelDriver(EventLoop& loop, std::string trees = {}, std::string mountpoint = {});
  ~ScriptModelDriver() override;
  ScriptModelDriver(const ScriptModelDriver&) = delete;
  ScriptModelDriver& operator=(const ScriptModelDriver&) = delete;

  void start(ChatRequest request, Progress progress, Completion<ChatReply> done) override;

 private:
  class Cache;
  class Waiting;

  std::unique_ptr<Cache> cache_;
  std::shared_ptr<Waiting> waiting_;  // shared with timers and cancel callbacks
};

}  // namespace agentfs
