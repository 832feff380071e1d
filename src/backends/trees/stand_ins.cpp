// SPDX-License-Identifier: MIT
#include "backends/trees/stand_ins.h"

#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/directory.h"
#include "base/file_handle.h"
#include "base/text.h"

namespace agentfs::trees {
namespace {

// By the handle that its file holds, which has the inode's generation in it; only root is told.
bool is_of_nothing(int directory, const UniqueFd& top, const std::string& name) {
  const UniqueFd file(::openat(directory, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  const auto text = file ? file::read(file.get()) : fail_errno(name);
  const auto words = text::words(text ? std::string_view(*text) : std::string_view());
  const auto key = words.size() == 3 ? key_from(words[0], words[1], words[2]) : std::nullopt;
  if (!key || key->handle.bytes.empty()) return false;
  return !open_handle(top.get(), key->handle, O_PATH | O_CLOEXEC) && errno == ESTALE;
}

}  // namespace

// Those of inodes that have gone go at a start.
Result<std::unique_ptr<StandIns>> StandIns::open(UniqueFd directory) {
  std::size_t count = 0;
  const UniqueFd top(::openat(directory.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (const HostEntry& entry : TRY(list_directory(directory.get()))) {
    const bool goes = is_of_nothing(directory.get(), top, entry.name) &&
                      ::unlinkat(directory.get(), entry.name.c_str(), 0) == 0;
    count += goes ? 0 : 1;
  }
  return std::make_unique<StandIns>(std::move(directory), count);
}

// By its number alone another inode would have its marks.
std::optional<Spot> StandIns::find(const Spot& spot) const {
  const auto key = InodeKey::of(spot);
  if (!key || !key->is_certain()) return std::nullopt;
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
  const auto key = InodeKey::of(spot);
  if (its && key) {
    (void)file::write_all(made.get(), to_text({key->inode, read_handle(its.get(), mount)}));
  }
  return stand_in;
}

void StandIns::let_go(const Spot& stand_in) {
  if (::llistxattr(stand_in.path.c_str(), nullptr, 0) != 0) return;
  if (::unlinkat(directory_.get(), stand_in.name.c_str(), 0) == 0) --count_;
}

}  // namespace agentfs::trees
