// SPDX-License-Identifier: MIT
#include "backends/trees/stand_ins.h"

#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstring>

#include "base/directory.h"
#include "base/file_handle.h"
#include "base/text.h"

namespace agentfs::trees {

namespace {

// What it stands for, by the handle that its file holds; nothing where it holds none.
std::optional<FileHandle> stood_for(int directory, const std::string& name) {
  const UniqueFd file(::openat(directory, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  const auto text = file ? file::read(file.get()) : fail_errno(name);
  const auto words = text::words(text ? std::string_view(*text) : std::string_view());
  if (words.size() != 2) return std::nullopt;
  const auto type = text::number<int>(words[0]);
  auto bytes = text::unhex(words[1]);
  if (!type || !bytes) return std::nullopt;
  return FileHandle{*type, std::move(*bytes)};
}

// Only root is told; a handle has the inode's generation in it.
bool is_gone(int directory, const FileHandle& handle) {
  const UniqueFd top(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  HandleBuffer buffer;
  buffer.get()->handle_type = handle.type;
  if (handle.bytes.size() > MAX_HANDLE_SZ) return false;
  buffer.get()->handle_bytes = static_cast<unsigned>(handle.bytes.size());
  std::memcpy(buffer.get()->f_handle, handle.bytes.data(), handle.bytes.size());
  const UniqueFd found(::open_by_handle_at(top.get(), buffer.get(), O_PATH | O_CLOEXEC));
  return !found && errno == ESTALE;
}

}  // namespace

// Those of inodes that have gone go at a start.
Result<std::unique_ptr<StandIns>> StandIns::open(UniqueFd directory) {
  std::size_t count = 0;
  for (const HostEntry& entry : TRY(list_directory(directory.get()))) {
    const auto handle = stood_for(directory.get(), entry.name);
    const bool goes = handle && is_gone(directory.get(), *handle) &&
                      ::unlinkat(directory.get(), entry.name.c_str(), 0) == 0;
    count += goes ? 0 : 1;
  }
  return std::make_unique<StandIns>(std::move(directory), count);
}

// Without the time another inode of that number would have its marks.
std::optional<Spot> StandIns::find(const Spot& spot) const {
  const auto key = InodeKey::of(spot);
  if (!key || !key->has_time()) return std::nullopt;
  return Spot::in(directory_.get(),
                  fmt::format("{}.{}.{}", key->inode, key->made_seconds, key->made_nanoseconds));
}

std::optional<Spot> StandIns::ensure(const Spot& spot) {
  auto stand_in = find(spot);
  if (!stand_in) return std::nullopt;
  const char* const name = stand_in->name.c_str();
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  const UniqueFd made(::openat(directory_.get(), name, kFlags, 0600));
  if (!made && errno != EEXIST) return std::nullopt;
  if (!made) return stand_in;
  ++count_;
  const int flags = O_PATH | O_CLOEXEC | (spot.follow ? 0 : O_NOFOLLOW);
  const UniqueFd its(::open(spot.path.c_str(), flags));
  int mount = 0;
  const FileHandle handle = its ? read_handle(its.get(), mount) : FileHandle();
  if (!handle.bytes.empty()) {
    (void)file::write_all(made.get(), fmt::format("{} {}", handle.type, text::hex(handle.bytes)));
  }
  return stand_in;
}

void StandIns::let_go(const Spot& stand_in) {
  if (::llistxattr(stand_in.path.c_str(), nullptr, 0) != 0) return;
  if (::unlinkat(directory_.get(), stand_in.name.c_str(), 0) == 0) --count_;
}

}  // namespace agentfs::trees
