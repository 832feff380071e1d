// SPDX-License-Identifier: MIT
#include "backends/script/script_driver.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "backends/script/player.h"
#include "backends/script/scenario.h"
#include "base/file.h"
#include "base/open_beneath.h"
#include "base/read_at.h"
#include "base/text.h"

namespace agentfs {
namespace {

constexpr std::size_t kPieces = 4;
constexpr std::array<std::string_view, 3> kPlain = {"/home/", "/tmp/", "/workspaces/"};

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

  Cache(std::string trees, std::string mountpoint)
      : trees_(std::move(trees)), mountpoint_(std::move(mountpoint)) {}

  Result<Pointer> get(const std::string& path) {
    const UniqueFd file = TRY(open(path));
    struct stat found{};
    if (::fstat(file.get(), &found) != 0) return refused(path, errno);
    if (!S_ISREG(found.st_mode)) {
      return fail(EINVAL, "scenario {}: not a plain file; the path of a scenario file will do",
                  text::shown(path));
    }
    if (found.st_size > kLargest) {
      return fail(EFBIG, "scenario {}: has {} bytes; one of at most {} will do", text::shown(path),
                  found.st_size, kLargest);
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
    const auto text = read_at(file.get(), 0, static_cast<std::size_t>(found.st_size));
    if (!text) return refused(path, text.error().code);
    auto parsed = script::Scenario::parse(*text);
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
  static constexpr off_t kLargest = off_t{16} << 20;
  static constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

  static std::unexpected<Error> refused(const std::string& path, int code) {
    return fail(code,
                "scenario {}: {}; the path of a scenario file, of the host or of the mount's "
                "plain files, will do",
                text::shown(path), errno_name(code));
  }

  // What begins as the mount's plain files do is theirs first, and what lies below the mountpoint
  // is theirs alone: the daemon would wait for itself.
  Result<UniqueFd> open(const std::string& path) const {
    const bool is_of_mount = !mountpoint_.empty() && path.starts_with(mountpoint_ + "/");
    if (is_of_mount) return open_beneath(path, path.substr(mountpoint_.size()));
    if (std::ranges::any_of(kPlain, [&](std::string_view top) { return path.starts_with(top); })) {
      auto beneath = open_beneath(path, path);
      if (beneath || beneath.error().code != ENOENT) return beneath;
    }
    UniqueFd file(::open(path.c_str(), kFlags));
    if (file) return file;
    return errno == ENOENT ? open_beneath(path, path) : refused(path, errno);
  }

  // Below the trees whoever works there makes the names: a link could lead to any host file.
  Result<UniqueFd> open_beneath(const std::string& path, const std::string& in_mount) const {
    const UniqueFd trees(::open(trees_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!trees) return refused(path, ENOENT);
    UniqueFd file = file::open_beneath(trees.get(), "." + in_mount, kFlags);
    if (!file) return refused(path, errno);
    return file;
  }

  const std::string trees_;
  const std::string mountpoint_;
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

ScriptModelDriver::ScriptModelDriver(EventLoop& loop, std::string trees, std::string mountpoint)
    : cache_(std::make_unique<Cache>(std::move(trees), std::move(mountpoint))),
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
