// SPDX-License-Identifier: MIT
// The backends and services that a kernel runs on.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "backends/blob_store.h"
#include "backends/exec_driver.h"
#include "backends/forest.h"
#include "backends/import_store.h"
#include "backends/merge.h"
#include "backends/model_driver.h"
#include "backends/overlay_fold.h"
#include "backends/past_store.h"
#include "backends/record_store.h"
#include "backends/repo.h"
#include "base/clock.h"
#include "base/event_loop.h"
#include "base/worker_pool.h"

namespace agentfs {

class Journal;  // kernel/journal.h

// What the kernel is built of; main or a test makes these and keeps them alive longer than it.
struct KernelParts {
  const Clock* clock = nullptr;
  EventLoop* loop = nullptr;
  WorkerPool* pool = nullptr;  // driver pool, for work that may block
  Journal* journal = nullptr;
  RecordStore* store = nullptr;
  BlobStore* blobs = nullptr;
  PastStore* past = nullptr;                 // null: nothing is kept of what is removed
  ImportStore* imports = nullptr;            // null: nothing is imported
  std::map<std::string, Forest*> forests{};  // "/workspaces" -> its store; empty: nothing is forked
  const TreeComparer* comparer = nullptr;    // where there are forests, these two
  const TreeMerger* merger = nullptr;
  const OverlayFolder* folder = nullptr;  // null: no command works on an overlay
  Repository* repository = nullptr;
  ExecDriver* exec = nullptr;
  std::vector<std::pair<std::string, ModelDriver*>> model_drivers;  // "openai", "script"
  std::string state;                    // host path of the state directory
  std::string mountpoint;               // host path of the mount: what sandboxes bind from
  uid_t owner = 0;                      // who mounted it
  std::vector<std::string> problems{};  // what the start found of the state until here, to be told
};

}  // namespace agentfs
