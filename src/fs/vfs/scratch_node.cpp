// SPDX-License-Identifier: MIT
#include "fs/vfs/scratch_node.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/permissions.h"

namespace agentfs::vfs {
namespace {

class ScratchHandle final : public Handle {
 public:
  explicit ScratchHandle(std::shared_ptr<ScratchNode> node) : node_(std::move(node)) {}

  void read(Request&, off_t offset, std::size_t count, Completion<Bytes> done) override {
    done.complete(Bytes{.text = node_->read(static_cast<std::uint64_t>(offset), count)});
  }
  void write(Request& request, off_t offset, std::string_view bytes,
             Completion<std::size_t> done) override {
    const Status written = node_->write(static_cast<std::uint64_t>(offset), bytes);
    if (written) return done.complete(bytes.size());
    done.complete(
        std::unexpected(noted(node_->context(), request, node_->path(), written.error())));
  }
  Result<off_t> seek(Request&, off_t offset, int whence) override {
    const auto size = static_cast<off_t>(node_->size());
    if (offset < 0 || offset >= size) return fail(ENXIO, "{}: nothing there", node_->path());
    return whence == SEEK_HOLE ? size : offset;
  }

 private:
  const std::shared_ptr<ScratchNode> node_;
};

}  // namespace

ScratchNode::ScratchNode(ContextRef context, ScratchTable::Place place, mode_t mode,
                         std::string text)
    : context_(std::move(context)),
      mode_type_(mode & S_IFMT),
      place_(std::move(place)),
      text_(std::move(text)) {
  const auto owner = context_->services.owner_of(place_.directory);
  Lock lock(mutex_);
  const std::string identity = place_.session + child_path(place_.directory, place_.name);
  stat_ = make_stat(*context_, identity, mode, context_->services.clock().wall());
  if (owner) {
    stat_.st_uid = owner->uid;
    stat_.st_gid = owner->gid;
  }
  touched_ = context_->services.clock().steady();
}

std::string ScratchNode::path() const {
  Lock lock(mutex_);
  return child_path(place_.directory, place_.name);
}

ScratchTable::Place ScratchNode::place() const {
  Lock lock(mutex_);
  return place_;
}

void ScratchNode::move_to(ScratchTable::Place place) {
  Lock lock(mutex_);
  place_ = std::move(place);
  touch();
}

void ScratchNode::touch() {
  const std::int64_t now = context_->services.clock().wall();
  stat_.st_mtim = {now / 1'000'000'000, now % 1'000'000'000};
  stat_.st_ctim = stat_.st_mtim;
  touched_ = context_->services.clock().steady();
}

Result<Attributes> ScratchNode::attributes(Request&) {
  Lock lock(mutex_);
  Attributes answer{stat_, 0};
  answer.attributes.st_size = static_cast<off_t>(text_.size());
  answer.attributes.st_blocks = (answer.attributes.st_size + 511) / 512;
  return answer;
}

Result<Attributes> ScratchNode::set_attributes(Request& request, Handle*,
                                               const SetAttributes& wanted) {
  const auto has = [&](SetAttributes::Which which) { return (wanted.which & which) != 0; };
  {
    Lock lock(mutex_);
    if (has(SetAttributes::size)) {
      const auto size = static_cast<std::size_t>(wanted.values.st_size);
      TRY(check_change(size, 0));
      text_.resize(size);
      touch();
    }
    if (has(SetAttributes::mode)) {
      stat_.st_mode = mode_type_ | (wanted.values.st_mode & kPermissions);
    }
    if (has(SetAttributes::uid)) stat_.st_uid = wanted.values.st_uid;
    if (has(SetAttributes::gid)) stat_.st_gid = wanted.values.st_gid;
    const bool is_time = wanted.values.st_mtim.tv_nsec < 1'000'000'000;  // not UTIME_NOW
    if (has(SetAttributes::mtime) && is_time) stat_.st_mtim = wanted.values.st_mtim;
  }
  return attributes(request);
}

Result<std::string> ScratchNode::read_link(Request& request) {
  if (mode_type_ != S_IFLNK) return Node::read_link(request);
  return text();
}

Result<Opened> ScratchNode::open(Request& request, int flags) {
  if (mode_type_ != S_IFREG) return Node::open(request, flags);
  if ((flags & O_TRUNC) != 0) {
    Lock lock(mutex_);
    TRY(check_change(0, 0));
    text_.clear();
    touch();
  }
  const auto self = std::static_pointer_cast<ScratchNode>(shared_from_this());
  return Opened{std::make_shared<ScratchHandle>(self), {}};
}

std::string ScratchNode::text() const {
  Lock lock(mutex_);
  return text_;
}

std::string ScratchNode::read(std::uint64_t offset, std::size_t count) const {
  Lock lock(mutex_);
  return offset >= text_.size() ? std::string() : text_.substr(offset, count);
}

std::string ScratchNode::take_text() {
  Lock lock(mutex_);
  is_taken_ = true;
  return text_;
}

void ScratchNode::give_back() {
  Lock lock(mutex_);
  is_taken_ = false;
}

Status ScratchNode::check_change(std::uint64_t offset, std::size_t count) const {
  const std::string path = child_path(place_.directory, place_.name);
  if (is_taken_) {
    return fail(ESTALE,
                "{}: a rename has given its text to another name; written there, it would count",
                path);
  }
  if (offset > kLargest || count > kLargest - offset) {
    return fail(EMSGSIZE, "{}: a temporary file beside control files has at most {} bytes", path,
                kLargest);
  }
  return ok();
}

Status ScratchNode::write(std::uint64_t offset, std::string_view bytes) {
  Lock lock(mutex_);
  TRY(check_change(offset, bytes.size()));
  if (offset + bytes.size() > text_.size()) text_.resize(offset + bytes.size());
  text_.replace(offset, bytes.size(), bytes);
  touch();
  return ok();
}

std::uint64_t ScratchNode::size() const {
  Lock lock(mutex_);
  return text_.size();
}

std::int64_t ScratchNode::remaining() const {
  Lock lock(mutex_);
  return touched_ + kLifetime - context_->services.clock().steady();
}

// The timer holds no reference: what was removed or renamed is freed at once.
void ScratchNode::arm(const std::shared_ptr<ScratchNode>& node) {
  const auto delay = std::max<std::int64_t>(node->remaining(), 1'000'000);
  node->context_->services.loop().after(std::chrono::nanoseconds(delay),
                                        [weak = std::weak_ptr(node)] { expire(weak); });
}

void ScratchNode::expire(const std::weak_ptr<ScratchNode>& weak) {
  const auto node = weak.lock();
  if (!node) return;
  if (node->remaining() > 0) return arm(node);
  node->context_->scratch.expire(node->place(), node.get());
}

}  // namespace agentfs::vfs
