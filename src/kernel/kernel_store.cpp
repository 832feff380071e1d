// SPDX-License-Identifier: MIT
// Writing the fold to the store in groups.
#include "base/log.h"
#include "kernel/kernel_state.h"

namespace agentfs {
namespace {

using namespace std::chrono_literals;
constexpr std::size_t kGroup = 5'000;  // objects that are written without waiting longer
constexpr auto kDelay = 200ms;         // without a change; the journal has them all meanwhile
constexpr unsigned kMostDelays = 10;
constexpr auto kRetry = 1s;

}  // namespace

// At once where many objects have changed, else when nothing changes for a moment: what is done one
// by one, such as removing a directory with all that is in it, is not held up by it.
void Kernel::State::schedule_store(std::size_t dirty) {
  const bool is_much = dirty >= kGroup;
  {
    Lock lock(mutex);
    if (stopping || store_posted || (store_due && !is_much)) return;
    (is_much ? store_posted : store_due) = true;
  }
  if (is_much) {
    post_store();
  } else {
    store_when_quiet(dirty, 0);
  }
}

void Kernel::State::store_when_quiet(std::size_t dirty, unsigned delays) {
  after(kDelay, [dirty, delays](State& state) {
    std::size_t now = 0;
    {
      Lock lock(state.mutex);
      now = state.fold.dirty().size();
    }
    if (now == dirty || delays + 1 == kMostDelays) return state.post_store();
    state.store_when_quiet(now, delays + 1);
  });
}

void Kernel::State::post_store() {
  post([](State& state) {
    if (!state.store_dirty()) state.post_store_after(kRetry);
  });
}

void Kernel::State::post_store_after(std::chrono::nanoseconds delay) {
  after(delay, [](State& state) { state.post_store(); });
}

Status Kernel::State::store_dirty() {
  Keeper::Batch batch;
  // The head may move on only with a commit: both locks give one instant of fold and journal.
  {
    Lock committing_lock(commit_mutex);
    Lock lock(mutex);
    if (storing) return ok();  // whoever stores now comes again
    store_due = false;
    store_posted = false;
    const bool with_generations = fold.generations_are_due(stopping);
    if (fold.dirty().empty() && !with_generations) return ok();
    storing = true;
    batch.objects = fold.take_dirty();
    batch.next_pid = fold.next_pid();
    batch.last_version = fold.history().last();
    batch.head = parts.journal->head();
    batch.generations = with_generations ? batch.head.sequence : fold.generations_reached();
    if (with_generations) fold.take_generations(batch.objects);
  }
  const Status written = keeper.write(batch);
  bool is_dirty = false;
  {
    Lock lock(mutex);
    storing = false;
    if (written) {
      fold.generations_were_stored(batch.generations);
    } else {
      fold.put_back(batch.objects);
    }
    is_dirty = !fold.dirty().empty();
    store_due = !written || is_dirty;
  }
  changed.notify_all();
  metrics.count(written ? "agentfs_store_writes_total" : "agentfs_store_failures_total", "");
  if (!written) {
    log::error("store: {} objects not written, tried again later: {}", batch.objects.size(),
               written.error().message);
    return written;
  }
  if (is_dirty) store_when_quiet(0, 0);
  return ok();
}

}  // namespace agentfs
