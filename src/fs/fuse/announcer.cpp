// SPDX-License-Identifier: MIT
#include "fs/fuse/announcer.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/hash.h"
#include "base/log.h"
#include "fs/fuse/announced_node.h"
#include "fs/fuse/inside/announcement.h"

namespace agentfs::fuse {
namespace {

bool is_news(const TreeEvent& change) { return change.kind != TreeEvent::Kind::walked; }

}  // namespace

Announcer::Announcer(EventLoop& loop, std::string mountpoint)
    : loop_(loop), mountpoint_(std::move(mountpoint)) {}

Announcer::~Announcer() { end(); }

// A channel that was handed over ("/dev/fd/N") has no path that a helper could use.
bool Announcer::is_over() const { return ended_ || mountpoint_.starts_with("/dev/fd/"); }

void Announcer::prepare() {
  Lock lock(mutex_);
  if (!is_over() && !socket_) static_cast<void>(start());
}

void Announcer::announce(const std::vector<TreeEvent>& changes) {
  {
    Lock lock(mutex_);
    if (is_over()) return;
    for (const TreeEvent& change : changes) {
      if (waiting_.size() == kMost) break;
      // Somebody waits for a walk.
      const auto place = is_news(change) ? waiting_.end() : std::ranges::find_if(waiting_, is_news);
      waiting_.insert(place, change);
    }
    if (!socket_) {
      if (const Status started = start(); !started) {
        log::warning("watchers are not told: {}", started.error().message);
        waiting_.clear();
      }
    }
  }
  send_next();
}

Status Announcer::start() {
  const std::string program = TRY(find_own_program("agentfs-announce"));
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return fail_errno("agentfs-announce");
  }
  UniqueFd ours(ends[0]);
  const UniqueFd theirs = TRY(out_of_the_way(UniqueFd(ends[1])));
  process_ = TRY(spawn({program, mountpoint_}, {{theirs.get(), STDIN_FILENO}}));
  socket_ = std::move(ours);
  std::ranges::copy(random_bytes(secret_.size()), secret_.begin());
  helper_ = process_.pid;
  loop_.watch(socket_.get(), EPOLLIN, [weak = weak_from_this()](std::uint32_t events) {
    if (const auto self = weak.lock()) self->answered(events);
  });
  return ok();
}

void Announcer::send_next() {
  Lock lock(mutex_);
  while (!current_ && !waiting_.empty() && socket_) {
    current_ = std::move(waiting_.front());
    waiting_.pop_front();
    Announcement packet{.secret = secret_};
    if (!packet.fill(static_cast<char>(current_->kind), current_->type, current_->path)) {
      current_.reset();
      continue;
    }
    if (::send(socket_.get(), &packet, packet.size(), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
      drop_helper();
    }
  }
}

void Announcer::answered(std::uint32_t) {
  {
    Lock lock(mutex_);
    if (!socket_) return;
    char done = 0;
    const ssize_t got = ::recv(socket_.get(), &done, 1, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    current_.reset();
    if (got <= 0) drop_helper();
  }
  send_next();
}

// The event thread alone may unwatch. The helper ends when its socket does; it may be held up by
// the session until that has come apart, so nobody waits for it but the one who reaps.
void Announcer::drop_helper() {
  helper_ = kNobody;
  current_.reset();
  waiting_.clear();
  if (!socket_) return;
  loop_.post([&loop = loop_, socket = std::make_shared<UniqueFd>(std::move(socket_)),
              process = std::make_shared<UniqueFd>(std::move(process_.process))] {
    loop.unwatch(socket->get());
    socket->reset();
    const int pidfd = process->get();
    loop.watch(pidfd, EPOLLIN, [&loop, process](std::uint32_t) {
      siginfo_t ended{};
      ::waitid(P_PIDFD, static_cast<id_t>(process->get()), &ended, WEXITED | WNOHANG);
      loop.unwatch(process->get());
    });
  });
}

void Announcer::end() {
  Lock lock(mutex_);
  ended_ = true;
  drop_helper();
}

bool Announcer::is_removing() {
  Lock lock(mutex_);
  return current_ && current_->kind == TreeEvent::Kind::removed;
}

vfs::NodeRef Announcer::shown(vfs::NodeRef node) {
  Lock lock(mutex_);
  return std::make_shared<AnnouncedNode>(std::move(node), current_.value_or(TreeEvent{}), secret_);
}

}  // namespace agentfs::fuse
