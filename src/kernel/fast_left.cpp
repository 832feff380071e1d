// SPDX-License-Identifier: MIT
#include "kernel/fast_left.h"

#include <sys/stat.h>

#include <filesystem>

#include "base/directory.h"
#include "base/file.h"
#include "kernel/fast_path.h"
#include "kernel/kernel.h"
#include "kernel/namespace.h"

namespace agentfs {
namespace {

constexpr std::int64_t kMost = std::int64_t{16} << 20;  // bytes of all that one workspace's have

// What lies below the directory, until it is too much. False: it is, or cannot be looked at.
bool add(const std::string& directory, Growth& left) {
  std::error_code error;
  const std::filesystem::recursive_directory_iterator end;
  for (std::filesystem::recursive_directory_iterator at(directory, error); !error && at != end;
       at.increment(error)) {
    struct stat found{};
    if (::lstat(at->path().c_str(), &found) != 0) return false;
    left.add(found);
    const Growth::Amount& all = left.whole();
    const auto names = all.inodes * static_cast<std::int64_t>(kBlock);  // empty ones are some, too
    if (std::max(all.bytes, names) > kMost) return false;
  }
  return !error;
}

// Of what earlier commands of the workspace than this one have left, whatever for.
bool add_earlier(const std::string& all, const std::string& root, std::uint64_t number,
                 Growth& left) {
  const auto entries = list_directory(all);
  if (!entries) return entries.error().code == ENOENT;
  for (const HostEntry& entry : *entries) {
    const std::string directory = all + "/" + entry.name;
    const auto text = file::read(directory + "/order");
    const auto earlier = text ? FastRun::parse(*text) : fail(ENOENT, "no order");
    const bool counts = earlier && earlier->root == root && earlier->number != number &&
                        earlier->phase == FastRun::Phase::kept;
    if (counts && !add(directory, left)) return false;
  }
  return true;
}

bool may_stay(Kernel& kernel, const std::string& all, const std::string& directory,
              const FastRun& run) {
  Growth left;
  if (!add(directory + "/upper", left) || !add_earlier(all, run.root, run.number, left))
    return false;
  return kernel.paths().hold_room(run.root, left).has_value();
}

}  // namespace

void judge_left(Kernel& kernel, const std::string& all, const std::string& directory, FastRun& run,
                FastEnd& end, bool keeps_more) {
  if (keeps_more || may_stay(kernel, all, directory, run)) {
    end.lines += fmt::format("# fs=fast: what is left out is kept below {}/upper\n", directory);
    return;
  }
  run.keeps = false;
  end.how = "folded";
  end.lines += fmt::format(
      "# fs=fast: what is left out has gone with the overlay: commands of one workspace may leave "
      "{} MiB beside it, within its limits\n",
      kMost >> 20);
}

std::string why_no_other(const std::string& all, const std::string& root) {
  Growth left;
  if (add_earlier(all, root, 0, left)) return "";
  return fmt::format(
      "what earlier commands of {} have left below {} is more than {} MiB: it is to be taken from "
      "there or removed first",
      root, all, kMost >> 20);
}

}  // namespace agentfs
