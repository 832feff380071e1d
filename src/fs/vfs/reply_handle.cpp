// SPDX-License-Identifier: MIT
#include "fs/vfs/reply_handle.h"

#include "fs/vfs/written_text.h"

namespace agentfs::vfs {

// The requests of one write, one after the other: the next starts when the one before has been
// answered. Holds no thread while it waits. A chain that answers at once runs in a loop, not by
// recursion, since a write can hold many short requests.
class RequestChain final : public std::enable_shared_from_this<RequestChain> {
 public:
  RequestChain(RowFileRef file, std::string slot, Caller author, std::vector<std::string> lines)
      : file_(std::move(file)),
        slot_(std::move(slot)),
        author_(std::move(author)),
        lines_(std::move(lines)) {}

  void start(Completion<std::string> done) {
    done_ = done;
    done.on_cancel([self = shared_from_this()] { self->cancel(); });
    advance();
  }

 private:
  void advance();
  bool answered_at_once();
  void ask(const std::string& line, Completion<std::string> answer);
  void take(const std::string& line, Result<std::string> answer);
  void cancel();

  const RowFileRef file_;
  const std::string slot_;
  const Caller author_;
  const std::vector<std::string> lines_;
  Completion<std::string> done_;
  std::size_t next_ = 0;  // touched by who runs the chain only
  std::string replies_;
  Mutex<Rank::handle> mutex_;
  Completion<std::string> current_ GUARDED_BY(mutex_);
  bool answered_ GUARDED_BY(mutex_) = false;
  bool parked_ GUARDED_BY(mutex_) = false;
  bool cancelled_ GUARDED_BY(mutex_) = false;
};

void RequestChain::advance() {
  while (!done_.answered()) {
    if (next_ == lines_.size()) return done_.complete(std::move(replies_));
    const std::string& line = lines_[next_++];
    const Completion<std::string> answer(
        [self = shared_from_this(), &line](Result<std::string> reply) {
          self->take(line, std::move(reply));
        });
    bool cancelled = false;
    {
      Lock lock(mutex_);
      current_ = answer;
      answered_ = false;
      cancelled = cancelled_;
    }
    if (cancelled) return;
    ask(line, answer);
    if (!answered_at_once()) return;
  }
}

bool RequestChain::answered_at_once() {
  Lock lock(mutex_);
  if (!answered_) parked_ = true;
  return answered_;
}

void RequestChain::ask(const std::string& line, Completion<std::string> answer) {
  const RowPlace& place = file_->place();
  auto object = [&]() -> Result<ObjectRef> {
    TRY(check_text(place.info().name, line));
    return place.held(author_);
  }();
  if (!object) return answer.complete(std::unexpected(std::move(object).error()));
  place.type->reply(place.row, *object, author_, line, std::move(answer));
}

void RequestChain::take(const std::string& line, Result<std::string> answer) {
  Status recorded = answer ? record_written(*file_, author_, line) : ok();
  if (!answer) {
    done_.complete(std::unexpected(std::move(answer).error()));
  } else if (!recorded) {
    done_.complete(std::unexpected(std::move(recorded).error()));
  } else if (!done_.answered()) {
    replies_ += *answer;
    file_->context().replies.put(slot_, replies_);
  }
  bool resume = false;
  {
    Lock lock(mutex_);
    answered_ = true;
    resume = std::exchange(parked_, false);
  }
  if (resume) advance();
}

// Who serves the request is told; the writer is not kept waiting for it to stop.
void RequestChain::cancel() {
  Completion<std::string> current;
  {
    Lock lock(mutex_);
    cancelled_ = true;
    current = std::exchange(current_, {});  // who serves it may never answer
  }
  if (current) current.cancel();
  done_.complete(fail(EINTR, "{}: interrupted", file_->path()));
}

void ReplyHandle::run(Caller author, Lines lines, Completion<std::string> done) {
  const auto chain = std::make_shared<RequestChain>(
      std::static_pointer_cast<const RowFile>(file().shared_from_this()), slot(), std::move(author),
      std::move(lines));
  chain->start(std::move(done));
}

}  // namespace agentfs::vfs
