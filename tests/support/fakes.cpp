// SPDX-License-Identifier: MIT
#include "support/fakes.h"

#include <algorithm>
#include <utility>

namespace agentfs::test {

void FakeModel::start(ChatRequest request, Progress progress, Completion<ChatReply> done) {
  Play play;
  std::optional<Result<ChatReply>> reply;
  {
    Lock lock(mutex_);
    requests_.push_back(request);
    if (!holding_ && play_) {
      play = play_;
    } else if (!holding_ && !replies_.empty()) {
      reply = std::move(replies_.front());
      replies_.pop_front();
    } else {
      waiting_.push_back({request, done});
    }
  }
  if (play) reply = play(request);
  if (!reply) {
    done.on_cancel([this, done] {
      ++cancelled_;
      done.complete(fail(EINTR, "model: cancelled"));
    });
    return;
  }
  if (play && *reply && !(*reply)->text.empty()) {
    progress({ModelProgress::Kind::text, (*reply)->text});
  }
  done.complete(std::move(*reply));
}

void FakeModel::play(Play play) {
  Lock lock(mutex_);
  play_ = std::move(play);
}

void FakeModel::reply(Result<ChatReply> reply) {
  Completion<ChatReply> oldest;
  {
    Lock lock(mutex_);
    while (!waiting_.empty() && waiting_.front().done.answered()) waiting_.pop_front();
    if (waiting_.empty()) {
      replies_.push_back(std::move(reply));
      return;
    }
    oldest = waiting_.front().done;
    waiting_.pop_front();
  }
  oldest.complete(std::move(reply));
}

void FakeModel::hold() {
  Lock lock(mutex_);
  holding_ = true;
}

void FakeModel::release() {
  std::deque<Waiting> waiting;
  Play play;
  {
    Lock lock(mutex_);
    holding_ = false;
    waiting = std::exchange(waiting_, {});
    play = play_;
  }
  for (Waiting& one : waiting) one.done.complete(play(one.request));
}

std::vector<ChatRequest> FakeModel::requests() const {
  Lock lock(mutex_);
  return requests_;
}

ChatRequest FakeModel::request(std::size_t index) const {
  Lock lock(mutex_);
  return requests_.at(index);
}

std::size_t FakeModel::asked() const {
  Lock lock(mutex_);
  return requests_.size();
}

std::size_t FakeModel::waiting() const {
  Lock lock(mutex_);
  return static_cast<std::size_t>(
      std::ranges::count_if(waiting_, [](const Waiting& one) { return !one.done.answered(); }));
}

ChatReply text_reply(std::string text, std::int64_t tokens_in, std::int64_t tokens_out) {
  ChatReply reply;
  reply.text = std::move(text);
  reply.usage.input = tokens_in;
  reply.usage.output = tokens_out;
  reply.finish_reason = "stop";
  return reply;
}

void FakeExec::start(ExecRequest request, std::function<void(const ExecStarted&)> started,
                     Completion<ExecReply> done) {
  std::uint64_t number = 0;
  {
    Lock lock(mutex_);
    requests_.push_back(request);
    number = requests_.size();
  }
  if (started) started({.host_pid = 1, .pid_namespace = 4'000'000'000 + number});
  std::optional<Result<ExecReply>> reply;
  if (run) reply = run(request);
  if (reply) {
    done.complete(std::move(*reply));
    return;
  }
  done.on_cancel([done] {
    ExecReply cancelled;
    cancelled.exit_code = -1;
    cancelled.signal = "KILL";
    cancelled.ended_by = "cancel";
    done.complete(std::move(cancelled));
  });
}

std::vector<ExecRequest> FakeExec::requests() const {
  Lock lock(mutex_);
  return requests_;
}

Result<std::string> FakeRepository::commit(const TurnCommit& commit) {
  Lock lock(mutex_);
  ++calls_;
  if (failure_) return std::unexpected(*std::exchange(failure_, std::nullopt));
  commits_.push_back(commit);
  if (on_commit) on_commit(commit);
  return fmt::format("{:040x}", commits_.size());
}

std::vector<TurnCommit> FakeRepository::commits() const {
  Lock lock(mutex_);
  return commits_;
}

std::size_t FakeRepository::calls() const {
  Lock lock(mutex_);
  return calls_;
}

void FakeRepository::fail_next(Error error) {
  Lock lock(mutex_);
  failure_ = std::move(error);
}

void FakeUserland::wake(ProcessId pid) {
  Lock lock(mutex_);
  ++wakes_[pid];
}

void FakeUserland::interrupt(ProcessId pid) {
  Lock lock(mutex_);
  ++interrupts_[pid];
}

int FakeUserland::wakes(ProcessId pid) const {
  Lock lock(mutex_);
  const auto found = wakes_.find(pid);
  return found == wakes_.end() ? 0 : found->second;
}

int FakeUserland::interrupts(ProcessId pid) const {
  Lock lock(mutex_);
  const auto found = interrupts_.find(pid);
  return found == interrupts_.end() ? 0 : found->second;
}

}  // namespace agentfs::test
