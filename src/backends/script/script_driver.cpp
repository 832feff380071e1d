// SPDX-License-Identifier: MIT
#include "backends/script/script_driver.h"

#include <sys/stat.h>

#include <array>
#include <chrono>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "backends/script/player.h"
#include "backends/script/scenario.h"
#include "base/file.h"
#include "base/text.h"

namespace agentfs {
namespace {

constexpr std::size_t kPieces = 4;

// The text in a few pieces, never cutting a UTF-8 sequence.
std::vector<std::string> pieces_of(std::string_view text) {
  std::vector<std::string> pieces;
  const std::size_t size = text.size() / kPieces + 4;  // no sequence is longer than 4 bytes
  while (!text.empty()) {
    const std::string_view piece = text::prefix(text, size);
    pieces.emplace_back(piece.empty() ? text : piece);
    text.remove_prefix(pieces.back().size());
  }
  return pieces;
}

void tell(const ModelDriver::Progress& progress, const ChatReply& reply) {
  if (!progress) return;
  for (std::string& piece : pieces_of(reply.text)) {
    progress({ModelProgress::Kind::text, std::move(piece)});
  }
  for (const ToolCall& call : reply.calls) progress({ModelProgress::Kind::call, call.name});
}

}  // namespace

// Parsed scenarios, by path, as long as the file does not change. Threads: all.
class ScriptModelDriver::Cache {
 public:
  using Pointer = std::shared_ptr<const script::Scenario>;

  explicit Cache(std::string trees) : trees_(std::move(trees)) {}

  Result<Pointer> get(std::string path) {
    struct stat found{};
    const bool is_of_mount =
        ::stat(path.c_str(), &found) != 0 && errno == ENOENT && !trees_.empty();
    const std::string below = is_of_mount ? trees_ + path : path;
    // Below the trees whoever works there makes the names: a link could lead to any host file.
    const int looked = is_of_mount ? ::lstat(below.c_str(), &found) : ::stat(below.c_str(), &found);
    if (looked != 0) {
      return fail(errno,
                  "scenario {}: {}; the path of a scenario file, of the host or of the mount's "
                  "plain files, will do",
                  text::shown(path), errno_name(errno));
    }
    path = below;
    if (!S_ISREG(found.st_mode)) {
      return fail(EINVAL, "scenario {}: not a plain file; the path of a scenario file will do",
                  text::shown(path));
    }
    const Version version = {static_cast<std::int64_t>(found.st_ino), found.st_size,
                             found.st_mtim.tv_sec, found.st_mtim.tv_nsec};
    {
      Lock lock(mutex_);
      const auto known = entries_.find(path);
      if (known != entries_.end() && known->second.version == version) {
        return known->second.scenario;
      }
    }
    const std::string text = TRY(file::read(path));
    auto parsed = script::Scenario::parse(text);
    if (!parsed) return fail(EBADMSG, "scenario {}: {}", text::shown(path), parsed.error().message);
    auto scenario = std::make_shared<const script::Scenario>(*std::move(parsed));
    Lock lock(mutex_);
    entries_[path] = {version, scenario};
    return scenario;
  }

 private:
  using Version = std::array<std::int64_t, 4>;
  struct Entry {
    Version version{};
    Pointer scenario;
  };
  const std::string trees_;
  Mutex<Rank::queue> mutex_;
  std::unordered_map<std::string, Entry> entries_ GUARDED_BY(mutex_);
};

// Requests whose answer is not given yet. Whoever takes one out of here answers it: its timer, the
// one who cancels, or the destructor. Threads: all.
class ScriptModelDriver::Waiting : public std::enable_shared_from_this<Waiting> {
 public:
  explicit Waiting(EventLoop& loop) : loop_(&loop) {}

  void add(script::Answer answer, Progress progress, Completion<ChatReply> done) {
    std::uint64_t id = 0;
    {
      Lock lock(mutex_);
      id = ++last_id_;
      const auto timer = loop_->after(std::chrono::milliseconds(answer.delay_ms),
                                      [self = shared_from_this(), id] { self->give(id); });
      entries_[id] = {std::move(answer.reply), std::move(progress), done, timer};
    }
    done.on_cancel([self = shared_from_this(), id] { self->cancel(id); });
  }

  void refuse(Error error, Completion<ChatReply> done) {
    loop_->post([error = std::move(error), done = std::move(done)] {
      done.complete(std::unexpected(error));
    });
  }

  void close() {
    std::map<std::uint64_t, Entry> entries;
    {
      Lock lock(mutex_);
      entries.swap(entries_);
    }
    for (auto& [id, entry] : entries) {
      loop_->cancel(entry.timer);
      entry.done.complete(fail(EINTR, "model script: cancelled, the daemon stops"));
    }
  }

 private:
  struct Entry {
    ChatReply reply;
    Progress progress;
    Completion<ChatReply> done;
    EventLoop::TimerId timer = 0;
  };

  void give(std::uint64_t id) {
    Entry entry;
    {
      Lock lock(mutex_);
      const auto place = entries_.find(id);
      if (place == entries_.end()) return;
      entry = std::move(place->second);
      entries_.erase(place);
    }
    tell(entry.progress, entry.reply);
    entry.done.complete(std::move(entry.reply));
  }
  // Holds the lock to the end, so that close() and the end of the loop come after it.
  void cancel(std::uint64_t id) {
    Lock lock(mutex_);
    auto node = entries_.extract(id);
    if (node.empty()) return;
    loop_->cancel(node.mapped().timer);
    loop_->post(
        [done = node.mapped().done] { done.complete(fail(EINTR, "model script: cancelled")); });
  }

  EventLoop* loop_;
  Mutex<Rank::driver> mutex_;
  std::map<std::uint64_t, Entry> entries_ GUARDED_BY(mutex_);
  std::uint64_t last_id_ GUARDED_BY(mutex_) = 0;
};

ScriptModelDriver::ScriptModelDriver(EventLoop& loop, std::string trees)
    : cache_(std::make_unique<Cache>(std::move(trees))),
      waiting_(std::make_shared<Waiting>(loop)) {}

ScriptModelDriver::~ScriptModelDriver() { waiting_->close(); }

void ScriptModelDriver::start(ChatRequest request, Progress progress, Completion<ChatReply> done) {
  if (request.settings.scenario.empty()) {
    waiting_->add(script::introduce(request), std::move(progress), std::move(done));
    return;
  }
  const auto scenario = cache_->get(request.settings.scenario);
  if (!scenario) {
    const Error& error = scenario.error();
    waiting_->refuse(
        {error.code, fmt::format("model {}: {}", request.settings.name, error.message)},
        std::move(done));
    return;
  }
  waiting_->add(script::play(**scenario, request), std::move(progress), std::move(done));
}

}  // namespace agentfs
