// SPDX-License-Identifier: MIT
// One request to a model driver, and all that came of it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "backends/model_driver.h"

namespace agentfs::testing {

// Threads: all. Must be answered before it is destroyed, or its driver destroyed before it.
class ChatCall {
 public:
  static constexpr std::chrono::seconds kPatience{20};

  ChatCall(ModelDriver& driver, ChatRequest request)
      : done_([this](Result<ChatReply> result) {
          const std::lock_guard lock(mutex_);
          result_ = std::move(result);
          changed_.notify_all();
        }) {
    driver.start(
        std::move(request),
        [this](const ModelProgress& progress) {
          const std::lock_guard lock(mutex_);
          progress_.push_back(progress);
          changed_.notify_all();
        },
        done_);
  }

  // The answer; throws where none has come by the deadline.
  Result<ChatReply> wait() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kPatience, [this] { return result_.has_value(); })) {
      throw std::runtime_error("no answer of the model driver by the deadline");
    }
    return *result_;
  }
  // True when so many pieces of progress of that kind have come.
  bool wait_for(ModelProgress::Kind kind, std::size_t count = 1) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return of_kind(kind).size() >= count; });
  }
  std::vector<std::string> texts(ModelProgress::Kind kind) {
    const std::lock_guard lock(mutex_);
    return of_kind(kind);
  }
  std::vector<ModelProgress> progress() {
    const std::lock_guard lock(mutex_);
    return progress_;
  }
  bool answered() const { return done_.answered(); }
  void cancel() { done_.cancel(); }

 private:
  std::vector<std::string> of_kind(ModelProgress::Kind kind) const {
    std::vector<std::string> texts;
    for (const ModelProgress& piece : progress_) {
      if (piece.kind == kind) texts.push_back(piece.text);
    }
    return texts;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Result<ChatReply>> result_;
  std::vector<ModelProgress> progress_;
  Completion<ChatReply> done_;
};

}  // namespace agentfs::testing
