// SPDX-License-Identifier: MIT
#include "fs/vfs/version_node.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace agentfs::vfs {
namespace {

// A descriptor open for reading: a snapshot.
class VersionHandle final : public Handle {
 public:
  VersionHandle(FileRef file, VersionRef node, ContentRef content)
      : file_(std::move(file)), node_(std::move(node)), content_(std::move(content)) {
    node_->count_reader(1);
  }

  void read(Request& request, off_t offset, std::size_t count, Completion<Bytes> done) override {
    done.complete([&]() -> Result<Bytes> {
      TRY(file_->alive(request));
      return Bytes{.text = TRY(content_->read(static_cast<std::uint64_t>(offset), count))};
    }());
  }

  Status fsync(Request&, bool) override { return file_->context().services.sync(); }

  Result<off_t> seek(Request&, off_t offset, int whence) override {
    const auto size = static_cast<off_t>(content_->size());
    if (offset < 0 || offset >= size) {
      return fail(ENXIO, "{}: nothing at offset {}", file_->path(), offset);
    }
    return whence == SEEK_HOLE ? size : offset;
  }

  // Waits before it looks, so that no change between the two is missed.
  Result<unsigned> poll(Request& request, std::move_only_function<void()> ready) override {
    if (ready) file_->context().watchers.add(file_->path(), this, std::move(ready));
    const auto now = file_->render(request);
    unsigned events = POLLIN | POLLRDNORM;
    if (!now || !(*now)->same_as(*content_)) events |= POLLPRI;
    return events;
  }

  void release() override {
    file_->context().watchers.remove(file_->path(), this);
    node_->count_reader(-1);
  }

 private:
  FileRef file_;
  VersionRef node_;
  ContentRef content_;
};

}  // namespace

Result<Opened> GeneratedFile::open_for_writing(Request&, int, const VersionRef&) const {
  return fail(EACCES, "{}: cannot be written (mode {:04o})", path_, mode_);
}

Result<Found> find_version(Request& request, const FileRef& file) {
  Context& context = file->context();
  const pid_t group = request.host().pid;
  const std::int64_t now = context.services.clock().steady();
  NodeRef node;
  if (group != 0) node = context.versions.pinned(group, request.host().uid, file->path(), now);
  if (!node) {
    const ContentRef content = TRY(file->render(request));
    const std::string identity = file->identity(request);
    const VersionTable::Nodes nodes{
        .make = [&](std::int64_t changed) -> NodeRef {
          return std::make_shared<VersionNode>(file, content, changed, group);
        },
        .share = [&](Node& held) { static_cast<VersionNode&>(held).share(group); }};
    const std::int64_t wall = context.services.clock().wall();
    node = context.versions.version(identity, content, wall, nodes);
    if (file->is_private()) context.versions.retire(identity, node.get());
    if (group != 0) context.versions.pin(group, request.host().uid, file->path(), node, now);
  }
  const Attributes attributes = TRY(node->attributes(request));
  return Found{node, attributes.attributes, {file->entry_validity(), attributes.validity}};
}

Result<Attributes> VersionNode::attributes(Request&) {
  Attributes answer{make_stat(file_->context(), file_->path(), S_IFREG | file_->mode(), changed_),
                    kForever};
  const std::int64_t shown = shown_size_.load();
  if (shown >= 0 || is_offered_.load()) answer.validity = 0;
  answer.attributes.st_size = shown >= 0 ? shown : static_cast<off_t>(content_->size());
  answer.attributes.st_blocks = (answer.attributes.st_size + 511) / 512;
  return answer;
}

// Modes, owners and times are fixed, but editors set them on what they have written: success.
Result<Attributes> VersionNode::set_attributes(Request& request, Handle* open,
                                               const SetAttributes& wanted) {
  if (!file_->is_writable()) return Node::set_attributes(request, open, wanted);
  if ((wanted.which & SetAttributes::size) == 0) return attributes(request);
  // A descriptor for writing has been given a node of its own already.
  const VersionRef node = open != nullptr
                              ? std::static_pointer_cast<VersionNode>(shared_from_this())
                              : TRY(own(request, content_));
  TRY(file_->resize(request, *node, open, wanted.values.st_size));
  return node->attributes(request);
}

// Retired first: so whoever has it as well has said so. The host's kernel comes back once: by then
// the text may have been saved again, and the one that it was offered has to do.
Result<VersionRef> VersionNode::own(Request& request, const ContentRef& newest) {
  Context& context = file_->context();
  const auto self = std::static_pointer_cast<VersionNode>(shared_from_this());
  context.versions.retire(file_->identity(request), this);
  const bool is_newest = newest->same_as(*content_);
  if ((is_newest || is_offered_.load()) && !is_shared_.load() && readers_.load() == 0) return self;
  const pid_t group = request.host().pid;
  const std::int64_t changed = is_newest
                                   ? changed_
                                   : context.versions.changed(file_->identity(request), newest,
                                                              context.services.clock().wall());
  const auto other = std::make_shared<VersionNode>(file_, newest, changed, group);
  if (group == 0) return other;
  // A name like /proc/self/fd/3 leads here again, whatever was offered: then this one has to do.
  const std::int64_t now = context.services.clock().steady();
  const NodeRef offered = context.versions.pinned(group, request.host().uid, path(), now);
  if (offered && offered != self) return self;
  other->is_offered_.store(true);
  context.versions.pin(group, request.host().uid, path(), other, now);
  return fail(ESTALE, "{}: others are reading this version; looked up again, it can be written",
              path());
}

Result<Opened> VersionNode::open(Request& request, int flags) {
  Context& context = file_->context();
  const auto self = std::static_pointer_cast<VersionNode>(shared_from_this());
  if (!wants_write(flags)) {
    context.versions.unpin(request.host().pid, file_->path());
    auto content = content_->is_lazy() ? content_->opened() : content_;
    if (!content) {
      context.services.note_error(request.caller(), path(), content.error());
      return std::unexpected(std::move(content).error());
    }
    return Opened{std::make_shared<VersionHandle>(file_, self, *std::move(content)),
                  {.keep_cache = true, .no_flush = true}};
  }
  if (!file_->is_writable()) {
    Error error{EACCES, fmt::format("{}: cannot be written (mode {:04o})", path(), file_->mode())};
    return std::unexpected(noted(context, request, path(), std::move(error)));
  }
  const bool is_in_place = (flags & (O_APPEND | O_TRUNC)) == 0;
  const auto newest = is_in_place ? file_->newest(request, content_) : content_;
  if (!newest && newest.error().code == ENOENT) {
    context.versions.unpin(request.host().pid, file_->path());
    return fail(ESTALE, "{}: has gone since it was looked up", path());
  }
  const VersionRef node = TRY(own(request, TRY(newest)));
  context.versions.unpin(request.host().pid, file_->path());
  auto opened = file_->open_for_writing(request, flags, node);
  if (!opened) return std::unexpected(noted(context, request, path(), std::move(opened).error()));
  return opened;
}

}  // namespace agentfs::vfs
