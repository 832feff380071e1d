// SPDX-License-Identifier: MIT
#include "backends/trees/stand_ins.h"

#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/directory.h"

namespace agentfs::trees {

Result<std::unique_ptr<StandIns>> StandIns::open(UniqueFd directory) {
  const std::size_t count = TRY(list_directory(directory.get())).size();
  return std::make_unique<StandIns>(std::move(directory), count);
}

std::optional<Spot> StandIns::find(const Spot& spot) const {
  const auto key = InodeKey::of(spot);
  if (!key) return std::nullopt;
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
  if (made) ++count_;
  return stand_in;
}

void StandIns::let_go(const Spot& stand_in) {
  if (::llistxattr(stand_in.path.c_str(), nullptr, 0) != 0) return;
  if (::unlinkat(directory_.get(), stand_in.name.c_str(), 0) == 0) --count_;
}

}  // namespace agentfs::trees
