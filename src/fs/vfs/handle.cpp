// SPDX-License-Identifier: MIT
// What an open descriptor does that does not say otherwise.
#include <poll.h>
#include <unistd.h>

#include "fs/vfs/node.h"

namespace agentfs::vfs {

void Handle::read(Request&, off_t, std::size_t, Completion<Bytes> done) {
  done.complete(fail(EBADF, "read: the descriptor is not open for reading"));
}

void Handle::write(Request&, off_t, std::string_view, Completion<std::size_t> done) {
  done.complete(fail(EBADF, "write: the descriptor is not open for writing"));
}

void Handle::wrote(Request&, off_t, std::size_t) {}

Status Handle::flush(Request&) { return ok(); }

void Handle::start_flush(Request& request, Completion<Nothing> done) {
  done.complete(flush(request));
}

void Handle::release() {}

Status Handle::fsync(Request&, bool) { return ok(); }

Status Handle::allocate(Request&, int, off_t, off_t) {
  return fail(ENOTSUP, "fallocate: a synthetic file has no blocks to reserve");
}

Result<off_t> Handle::seek(Request&, off_t, int) {
  return fail(ENOTSUP, "lseek: a synthetic file has no holes");
}

Result<std::size_t> Handle::copy_range(Request&, off_t, Handle&, off_t, std::size_t) {
  return fail(EXDEV, "copy_file_range: not between these files; read and write would do");
}

Status Handle::read_directory(Request&, off_t, const EmitItem&) {
  return fail(ENOTDIR, "readdir: not a directory");
}

Result<unsigned> Handle::poll(Request&, std::move_only_function<void()>) {
  return static_cast<unsigned>(POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM);
}

}  // namespace agentfs::vfs
