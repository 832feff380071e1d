// SPDX-License-Identifier: MIT
#include "kernel/history_choosing.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <set>

#include "base/text.h"
#include "kernel/versions_in_use.h"

namespace agentfs {
namespace {

constexpr std::size_t kNamed = 5;  // versions that a sentence names

std::string numbers_of(const Versions& versions) {
  std::vector<std::string> names;
  for (auto v = versions.rbegin(); v != versions.rend() && names.size() < kNamed; ++v) {
    names.push_back(fmt::format("{:06}", (*v)->number));
  }
  return text::join(names, ", ");
}

// Where nothing is known of a path: the nearest names beside it.
std::unexpected<Error> nothing_of(const SeenHistory& history, const std::string& path) {
  const auto slash = path.rfind('/');
  std::vector<std::string> names;
  const bool is_top = path.find('/', 1) == slash;  // beside it are others, which are no paths in it
  if (!is_top) {
    for (const History::Child& child : history.children(path.substr(0, slash))) {
      names.push_back(child.name);
    }
  }
  return fail(
      ENOENT,
      "{}: there is no version of it, and it is not in the trash{}; what can be restored is "
      "listed in .agentfs/versions and .agentfs/trash",
      path, text::did_you_mean(path.substr(slash + 1), names));
}

Result<FileVersionRef> one_version(const SeenHistory& history, const std::string& path,
                                   std::uint64_t number) {
  const FileVersionRef version = history.find(number);
  if (version != nullptr && version->path == path) return version;
  const Versions versions = history.versions(path);
  if (versions.empty()) return nothing_of(history, path);
  return fail(ENOENT, "{}: has no version {:06}; there are {}{}", path, number,
              versions.size() > kNamed ? "among others " : "", numbers_of(versions));
}

// Of what is in the trash as a file, what a directory of that name had before: the two cannot come
// back together. The file is the newer one; the rest comes back by its own path.
void drop_below_files(Versions& versions, std::size_t top) {
  std::set<std::string, std::less<>> files;
  for (const FileVersionRef& one : versions) {
    if (one->type != FileVersion::Type::directory) files.insert(one->path);
  }
  std::erase_if(versions, [&](const FileVersionRef& one) {
    const std::string_view path = one->path;
    for (auto slash = path.find('/', top); slash != path.npos; slash = path.find('/', slash + 1)) {
      if (files.contains(path.substr(0, slash))) return true;
    }
    return false;
  });
}

// When something below a directory was changed for the last time that a version knows of, its
// removal left out; 0: it knows of none.
std::int64_t changed_at(const FileVersion& version) {
  const bool was_taken = version.in_trash || version.cause == "remove" ||
                         version.cause == "recovered" || version.cause == FileVersion::kLeftover;
  if (!was_taken) return version.time;
  // The mtime of a directory is that of the removals in it, and any may have been set ahead; what
  // was copied, unpacked or renamed has one from before it had its name.
  const bool tells = version.type != FileVersion::Type::directory;
  const auto known = [&](std::int64_t time) { return time <= version.time ? time : 0; };
  return std::max(tells ? known(version.modified) : 0, known(version.named));
}

// Of what is in the trash below a directory that went, what was gone before: it comes back as it
// was when its removal began. That is after the last change below it that was none, and what the
// same process took is of it, however others wrote meanwhile.
void drop_gone_before(const SeenHistory& history, const FileVersion& directory,
                      Versions& versions) {
  std::int64_t changed = 0;
  for (const FileVersionRef& one : history.versions_below(directory.path)) {
    const std::int64_t time = changed_at(*one);
    if (time < directory.time) changed = std::max(changed, time);
  }
  std::erase_if(versions, [&](const FileVersionRef& one) {
    const bool is_by_the_same =
        one->host_pid == directory.host_pid && one->author == directory.author;
    return one->time < changed && !is_by_the_same;
  });
}

// Of a file that had several names the content, too, as which they come back.
VersionsInUse::Numbers numbers_of_all(const History& history, const Versions& versions) {
  VersionsInUse::Numbers numbers;
  for (const FileVersionRef& one : versions) {
    numbers.push_back(one->number);
    if (one->type != FileVersion::Type::name) continue;
    if (const FileVersionRef whole = history.whole(one)) numbers.push_back(whole->number);
  }
  return numbers;
}

}  // namespace

Result<Versions> to_restore(const SeenHistory& history, const std::string& path,
                            std::optional<std::uint64_t> number) {
  if (number) return Versions{TRY(one_version(history, path, *number))};
  Versions versions = history.trashed_at_or_below(path);
  std::erase_if(versions, [&](const FileVersionRef& one) {
    return one->path != path && one->cause == FileVersion::kLeftover;
  });
  drop_below_files(versions, path.size());
  Versions own = history.versions(path);
  if (versions.empty()) {
    if (own.empty()) return nothing_of(history, path);
    return Versions{own.back()};
  }
  // A directory that has been made again since it went with what was in it.
  const auto went_later = [&](const FileVersionRef& one) {
    return own.back()->number > one->number;
  };
  const bool is_made_again = !own.empty() && own.back()->type == FileVersion::Type::directory &&
                             versions.front()->path != path &&
                             std::ranges::any_of(versions, went_later);
  if (is_made_again) versions.insert(versions.begin(), own.back());
  const FileVersionRef top = versions.front();
  if (top->path == path && top->type == FileVersion::Type::directory) {
    drop_gone_before(history, *top, versions);
  }
  return versions;
}

Versions directories_above(const SeenHistory& history, const std::string& root,
                           const std::string& path, const Versions& returning) {
  std::uint64_t first = std::numeric_limits<std::uint64_t>::max();
  for (const FileVersionRef& one : returning) first = std::min(first, one->number);
  Versions above;
  for (auto slash = path.find('/', root.size() + 1); slash != path.npos;
       slash = path.find('/', slash + 1)) {
    Versions all = history.versions(path.substr(0, slash));
    std::erase_if(
        all, [](const FileVersionRef& one) { return one->type != FileVersion::Type::directory; });
    const auto after =
        std::ranges::find_if(all, [&](const FileVersionRef& one) { return one->number > first; });
    if (!all.empty()) above.push_back(after == all.end() ? all.back() : *after);
  }
  return above;
}

Result<Versions> to_forget(const SeenHistory& history, const std::string& path,
                           std::optional<std::uint64_t> number) {
  if (number) return Versions{TRY(one_version(history, path, *number))};
  Versions versions = history.versions(path);
  for (FileVersionRef& below : history.versions_below(path)) versions.push_back(std::move(below));
  if (versions.empty()) return nothing_of(history, path);
  return versions;
}

Forgetting forgetting_of(const History& history, const Versions& versions) {
  std::set<std::uint64_t> numbers;
  for (const FileVersionRef& one : versions) numbers.insert(one->number);
  const auto is_for_others = [&](const FileVersion& content) {
    return std::ranges::any_of(history.names_of(content), [&](const FileVersionRef& name) {
      return !numbers.contains(name->number);
    });
  };
  Forgetting which;
  std::set<std::uint64_t> looked_at;  // once, however many names go
  for (const FileVersionRef& one : versions) {
    (is_for_others(*one) ? which.for_others : which.gone).push_back(one);
    FileVersionRef whole = history.whole(one);
    if (whole == nullptr || !whole->forgotten || !looked_at.insert(whole->number).second) continue;
    if (is_for_others(*whole)) continue;
    if (numbers.insert(whole->number).second) which.gone.push_back(std::move(whole));
  }
  return which;
}

Chosen choose(const SeenHistory& history, VersionsInUse& in_use, const std::string& root,
              const std::string& path, std::optional<std::uint64_t> number) {
  Chosen chosen{.versions = to_restore(history, path, number)};
  if (!chosen.versions) return chosen;
  Versions& versions = *chosen.versions;
  chosen.above = directories_above(history, root, path, versions);
  Versions own = history.versions(path);
  if (!own.empty()) chosen.newest = own.back();
  Versions all = versions;
  all.insert(all.end(), chosen.above.begin(), chosen.above.end());
  if (chosen.newest != nullptr) all.push_back(chosen.newest);
  auto numbers = numbers_of_all(history.all(), all);
  const std::size_t wanted = numbers.size();
  chosen.kept = in_use.keep(numbers);
  if (numbers.size() == wanted) return chosen;
  const std::set<std::uint64_t> kept(numbers.begin(), numbers.end());
  const auto goes = [&](const FileVersionRef& one) {
    return !std::ranges::all_of(numbers_of_all(history.all(), {one}),
                                [&](std::uint64_t its) { return kept.contains(its); });
  };
  std::erase_if(versions, goes);
  std::erase_if(chosen.above, goes);
  if (chosen.newest != nullptr && goes(chosen.newest)) chosen.newest = nullptr;
  if (versions.empty()) {
    chosen.versions =
        fail(ENOENT,
             "{}: what was kept of it is being forgotten at the moment, and nothing was restored",
             text::shown(path));
  }
  return chosen;
}

}  // namespace agentfs
