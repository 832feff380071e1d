// SPDX-License-Identifier: MIT
#include "agents/agents.h"

#include <utility>

#include "agents/context.h"
#include "agents/dispatcher.h"
#include "agents/runner.h"
#include "kernel/kinds.h"
#include "kernel/streams.h"

namespace agentfs::agents {

struct Agents::Parts {
  explicit Parts(Kernel& kernel)
      : dispatcher(std::make_shared<Dispatcher>(kernel.loop(), kernel.pool(),
                                                [this](ProcessId pid) { return runner.act(pid); })),
        runner(kernel, *dispatcher),
        streams(kernel.streams()) {}

  // Whoever ends a run or the process, its requests, its calls and its stream end with it.
  void listen(const Record& record, ProcessId subject) {
    if (record.kind != kind::kRunEnd && record.kind != kind::kProcessExit) return;
    streams.end(subject);
    dispatcher->while_running([&] { runner.interrupt(subject); });
  }

  std::shared_ptr<Dispatcher> dispatcher;
  Runner runner;
  Streams& streams;
  std::uint64_t subscription = 0;
};

Agents::Agents(Kernel& kernel) : kernel_(kernel), parts_(std::make_shared<Parts>(kernel)) {
  parts_->subscription =
      kernel.subscribe([weak = std::weak_ptr(parts_)](const Record& record, ProcessId subject) {
        if (const auto parts = weak.lock()) parts->listen(record, subject);
      });
}

Agents::~Agents() {
  kernel_.set_userland(nullptr);
  kernel_.unsubscribe(parts_->subscription);
  parts_->dispatcher->stop();
}

void Agents::wake(ProcessId pid) { parts_->dispatcher->wake(pid); }

void Agents::interrupt(ProcessId pid) { parts_->runner.interrupt(pid); }

Result<std::string> Agents::context(const Process& process) {
  return show_context(TRY(assemble(kernel_, process, Reader::person)));
}

Result<std::string> Agents::context_why(const Process& process) {
  return show_why(TRY(assemble(kernel_, process, Reader::person)));
}

std::size_t Agents::busy() const { return parts_->dispatcher->busy(); }

}  // namespace agentfs::agents
