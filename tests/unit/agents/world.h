// SPDX-License-Identifier: MIT
// A kernel with agents over stores in memory, a model, files and a device that a test plays.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agents/agents.h"
#include "backends/memory/faults.h"
#include "backends/memory/memory.h"
#include "base/clock.h"
#include "kernel/configuration.h"
#include "kernel/journal.h"
#include "kernel/kernel.h"
#include "kernel/kinds.h"
#include "support/test_kernel.h"

namespace agentfs::agents::test {

using agentfs::test::eventually;
using agentfs::test::FakeModel;

ToolCall tool(std::string id, std::string name, std::string arguments);
ToolCall read_of(std::string id, const std::string& path);
ChatReply say(std::string text);
ChatReply call(std::vector<ToolCall> calls, std::string text = {});
// How many assistant messages stand after the last user message: the step a script is at.
std::size_t step_of(const ChatRequest& request);
// The text of the last message.
std::string last_text(const ChatRequest& request);
// Each call answered exactly once, right after its message, in the order of the calls; "" or what
// is wrong.
std::string find_invalid(const json::Array& messages);

// What outlives a crash: the log, the store, the blobs and the files.
struct Disk {
  Disk() { paths.hold_commands(); }
  agentfs::test::TemporaryDirectory directory;
  std::shared_ptr<LogStore> log = make_memory_log();
  std::shared_ptr<RecordStore> records = make_memory_records();
  std::unique_ptr<BlobStore> blobs = make_memory_blobs();
  agentfs::test::FakeNamespace paths;
};

// One life of the daemon over a disk.
class World {
 public:
  explicit World(Disk& disk, FakeModel& model, std::size_t workers = 3);
  ~World();  // as a crash: nothing more is written by the agents

  Kernel& kernel() { return *kernel_; }
  Agents& agents() { return *agents_; }
  const agentfs::test::FakeRepository& repository() const { return repository_; }
  // Records from the nth on cannot be written.
  void fail_records(std::size_t nth, int code = EIO, std::size_t times = 1'000'000);
  std::size_t records() const { return log_faults_->calls(LogCall::append); }

  // An agent with a task; further members of process.spawn.
  ProcessId spawn(const std::string& task = {}, json::Object more = {});
  Status send(ProcessId pid, const std::string& text);
  Status commit(ProcessId pid, std::string_view kind, json::Object data = {});
  // The answer, once no run is under way and nothing is queued.
  std::string wait(ProcessId pid);
  bool at_rest(ProcessId pid);
  ProcessRef process(ProcessId pid) { return kernel_->find_process(pid); }

 private:
  SystemClock clock_;
  EventLoop loop_;
  WorkerPool pool_;
  agentfs::test::FakeRepository repository_;
  agentfs::test::FakeExec exec_;
  std::shared_ptr<LogFaults> log_faults_ = std::make_shared<LogFaults>();
  std::shared_ptr<RecordFaults> record_faults_ = std::make_shared<RecordFaults>();
  FaultLogStore log_;
  FaultRecordStore records_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<Kernel> kernel_;
  std::unique_ptr<Agents> agents_;
};

}  // namespace agentfs::agents::test
