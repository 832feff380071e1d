// SPDX-License-Identifier: MIT
#include "fs/fuse/announcer.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <iterator>
#include <utility>

#include "base/hash.h"
#include "base/log.h"
#include "base/text.h"
#include "fs/fuse/inside/announcement.h"

namespace agentfs::fuse {
namespace {

using Kind = TreeEvent::Kind;

// Trees that are replaced one after another are looked after once.
constexpr std::chrono::milliseconds kLook(250);

bool is_news(const Announced& waiting) {
  return waiting.left != nullptr || waiting.change.kind != Kind::walked;
}

}  // namespace

Announcer::Announcer(vfs::Services& services, std::string mountpoint)
    : services_(services), mountpoint_(std::move(mountpoint)) {}

Announcer::~Announcer() { end(); }

// A channel that was handed over ("/dev/fd/N") has no path that a helper could use.
bool Announcer::is_over() const { return ended_ || mountpoint_.starts_with("/dev/fd/"); }

void Announcer::serve(const std::shared_ptr<vfs::Channel>& trees) {
  Lock lock(mutex_);
  trees_ = trees;
}

void Announcer::prepare() {
  Lock lock(mutex_);
  if (!is_over() && !socket_) static_cast<void>(start());
}

void Announcer::announce(const std::vector<TreeEvent>& changes) {
  {
    Lock lock(mutex_);
    if (is_over()) return;
    for (const TreeEvent& change : changes) {
      if (change.kind == Kind::replaced) {
        look_soon(change);
        continue;
      }
      if (waiting_.size() == kMost) break;
      Announced next{.change = change};
      // Somebody waits for a walk.
      const auto place = is_news(next) ? waiting_.end() : std::ranges::find_if(waiting_, is_news);
      waiting_.insert(place, std::move(next));
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
  services_.loop().watch(socket_.get(), EPOLLIN, [weak = weak_from_this()](std::uint32_t events) {
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
    const TreeEvent& change = current_->change;
    if (!packet.fill(static_cast<char>(change.kind), change.type, change.path)) {
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
    AnnouncementAnswer answer;
    const ssize_t got = ::recv(socket_.get(), &answer, sizeof answer, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    const bool is_whole = got > 0 && static_cast<std::size_t>(got) == answer.size();
    if (is_whole && answer.count > 0 && current_) {
      tell_left(current_->change.path, {answer.nodes.begin(), answer.nodes.begin() + answer.count});
    }
    if (is_whole && answer.left > 0) return;
    current_.reset();
    if (!is_whole) drop_helper();
  }
  send_next();
}

void Announcer::look_soon(const TreeEvent& replaced) {
  const bool is_due = !std::exchange(replaced_, replaced.path).empty();
  if (is_due) return;
  services_.loop().after(kLook, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->look();
  });
}

void Announcer::look() {
  {
    Lock lock(mutex_);
    std::string tree = std::exchange(replaced_, {});
    if (!socket_ || tree.empty()) return;
    waiting_.push_back({.change = {Kind::replaced, std::move(tree), S_IFDIR}});
  }
  send_next();
}

// The disk is asked for them, so not on the event thread.
void Announcer::tell_left(const std::string& tree, std::vector<std::uint64_t> watched) {
  services_.notices().post([weak = weak_from_this(), trees = trees_, watched = std::move(watched),
                            directory = std::string(text::parent_part(tree))] {
    const auto self = weak.lock();
    const auto channel = trees.lock();
    if (!self || !channel) return;
    std::vector<Announced> steps;
    for (const vfs::NodeRef& node : channel->left_behind(watched)) {
      const std::string name = fmt::format("{}/.agentfs-left.{}", directory, steps.size());
      steps.push_back({.change = {Kind::walked, name, node->type()}, .left = node});
      steps.push_back({.change = steps.back().change});
    }
    {
      Lock lock(self->mutex_);
      if (!self->socket_) return;
      const std::size_t room = kMost - std::min(kMost, self->waiting_.size());
      steps.resize(std::min(steps.size(), room / 2 * 2));
      std::ranges::move(steps, std::back_inserter(self->waiting_));
    }
    self->send_next();
  });
}

// The event thread alone may unwatch. The helper ends when its socket does; it may be held up by
// the session until that has come apart, so nobody waits for it but the one who reaps.
void Announcer::drop_helper() {
  helper_ = kNobody;
  current_.reset();
  waiting_.clear();
  if (!socket_) return;
  services_.loop().post([&loop = services_.loop(),
                         socket = std::make_shared<UniqueFd>(std::move(socket_)),
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
  return current_ && current_->change.kind == Kind::removed;
}

vfs::NodeRef Announcer::shown(vfs::NodeRef node) {
  Lock lock(mutex_);
  return std::make_shared<AnnouncedNode>(std::move(node), current_.value_or(Announced{}), secret_);
}

}  // namespace agentfs::fuse
