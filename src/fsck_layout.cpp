// SPDX-License-Identifier: MIT
// What fsck says of the directories of a state, and of workspaces that are gone from them.
#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <map>
#include <string_view>

#include "base/damage.h"
#include "base/directory.h"
#include "base/file.h"
#include "base/text.h"
#include "fsck_rows.h"

namespace agentfs::fsck {
namespace {

// Of a forest, below its hidden room.
constexpr auto kRooms =
    std::to_array<std::string_view>({"/lines", "/rights", "/trash", "/apart", "/staged"});
constexpr auto kFilesOfRooms = std::to_array<std::string_view>({"/marks", "/ids"});
constexpr std::string_view kLinkOfRooms = "/here";
// The lock, which a start makes, and the store's, which the journal fills anew.
constexpr auto kFiles = std::to_array<std::string_view>(
    {"lock", "agentfs.sqlite", "agentfs.sqlite-wal", "agentfs.sqlite-shm"});
constexpr std::string_view kSegments = "journal/segments";

mode_t type_of(const std::string& path) {
  struct stat found{};
  return ::lstat(path.c_str(), &found) == 0 ? found.st_mode & S_IFMT : 0;
}

// Whether one may be a link: where that of a directory leads is the user's own, and may be a disk
// that is not there now.
enum class Link { none, whole, any };

struct Place {
  std::string name{};
  mode_t type = S_IFDIR;  // what has to be there
  Link link = type == S_IFDIR ? Link::any : Link::whole;
};

// Of contents, which are many, those that are none.
void add_contents(const StateDirectory& state, const std::string& directory,
                  std::vector<Place>& all) {
  all.push_back({directory, S_IFDIR});
  const auto entries = list_if_there(state.file(directory));
  if (!entries) return;
  for (const HostEntry& entry : *entries) {
    if (entry.type != S_IFREG) {
      all.push_back({fmt::format("{}/{}", directory, entry.name), S_IFREG, Link::none});
    }
  }
}

std::vector<Place> places(const StateDirectory& state) {
  std::vector<Place> all;
  const auto add = [&](std::string name, mode_t type) { all.push_back({std::move(name), type}); };
  for (const std::string_view name : StateDirectory::directories()) add(std::string(name), S_IFDIR);
  for (const std::string_view name : StateDirectory::others()) add(std::string(name), S_IFDIR);
  for (const std::string_view name : kFiles) add(std::string(name), S_IFREG);
  for (const ForestPaths& forest : forests(state)) {
    const std::string name(text::last_part(forest.trees));
    const std::string hidden = "trees/." + name;
    add("merge-bases/" + name, S_IFDIR);
    add(hidden, S_IFDIR);
    for (const auto room : kRooms)
      all.push_back({fmt::format("{}{}", hidden, room), S_IFDIR, Link::whole});
    for (const auto file : kFilesOfRooms) add(fmt::format("{}{}", hidden, file), S_IFREG);
    add(fmt::format("{}{}", hidden, kLinkOfRooms), S_IFLNK);
    for (const std::string& line : names_in(forest.hidden + "/lines")) {
      add(fmt::format("{}/lines/{}", hidden, line), S_IFDIR);
    }
  }
  for (const std::string& name : names_in(state.file(std::string(kSegments)))) {
    if (name.ends_with(".jsonl")) add(fmt::format("{}/{}", kSegments, name), S_IFREG);
  }
  for (const std::string& folder : names_in(state.file("past"))) {
    if (text::number<std::uint64_t>(folder)) add_contents(state, "past/" + folder, all);
  }
  for (const std::string& import : names_in(state.file("imports"))) {
    if (!text::number<std::uint32_t>(import)) continue;
    add_contents(state, fmt::format("imports/{}/kept", import), all);
  }
  return all;
}

std::string_view name_of(mode_t type) {
  if (type == S_IFDIR) return "a directory";
  if (type == S_IFIFO) return "a FIFO";
  return type == S_IFREG ? "a file" : "a device or socket";
}

std::string_view wanted(mode_t type) {
  if (type == S_IFDIR) return "directory";
  return type == S_IFREG ? "file" : "link";
}

struct Misplaced {
  std::string name{};
  std::string sentence{};  // what is wrong with it
};

// Those below STATE that are there, and are not what they have to be.
std::vector<Misplaced> misplaced(const StateDirectory& state) {
  std::vector<Misplaced> found;
  for (const Place& place : places(state)) {
    const std::string path = state.file(place.name);
    const mode_t type = type_of(path);
    struct stat there{};
    const bool is_link = type == S_IFLNK;
    const bool leads = is_link && ::stat(path.c_str(), &there) == 0;
    const bool may_be =
        is_link && (place.link == Link::any || (place.link == Link::whole && leads));
    if (type == 0 || type == place.type || may_be) continue;
    std::string_view is = name_of(type);
    if (is_link) is = leads ? "a link" : "a link that leads to nothing";
    found.push_back({place.name, fmt::format("{}: is {}, and no {}", text::shown(place.name), is,
                                             wanted(place.type))});
  }
  return found;
}

bool is_hidden_room(std::string_view path) { return path.starts_with("trees/."); }

// Whether others look at what is below: the forest's check at the states of trees, git's program at
// repositories, nobody at what was set aside.
bool is_looked_at_elsewhere(std::string_view path) {
  if (path == "git" || path == "quarantine" || path == "mount") return true;
  const auto parts = text::split(path, '/');
  return parts.size() > 2 && is_hidden_room(path) && parts[2] == "lines";
}

// What users have, and may have closed to the daemon.
bool is_of_users(std::string_view path) {
  return path.starts_with("trees/") && !is_hidden_room(path);
}

struct Unlisted {
  std::string name{};
  Error why{};
  bool is_there = false;  // it itself can be looked at, and so renamed
};

struct Listing {
  std::vector<Unlisted> refused{};
  std::vector<std::string> set_aside{};  // by a repair before
};

// Files whose inodes the disk does not give.
void add_lost(int directory, const std::string& path, const std::vector<HostEntry>& entries,
              std::vector<Unlisted>& lost) {
  for (const HostEntry& entry : entries) {
    struct stat found{};
    if (entry.type == S_IFDIR) continue;
    const bool is_there =
        ::fstatat(directory, entry.name.c_str(), &found, AT_SYMLINK_NOFOLLOW) == 0;
    const int code = is_there ? 0 : errno;
    if (!is_damage(code)) continue;
    const std::string name = fmt::format("{}/{}", path, entry.name);
    lost.push_back({name, fail_errno(code, text::shown(name)).error()});
  }
}

// Which directories of the state cannot be listed, and which files of users are not to be had.
Listing list_all(const StateDirectory& state) {
  Listing found;
  const UniqueFd top(::open(state.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  walk_directories(top.get(), [&](int directory, const std::string& path, std::size_t) {
    if (path == "lost+found") return std::vector<std::string>();  // the disk's
    if (text::last_part(path).starts_with(kDamagedName)) {
      found.set_aside.push_back(path);
      return std::vector<std::string>();
    }
    const auto entries = directory >= 0 ? list_directory(directory, path) : fail_errno(path);
    if (entries) {
      if (is_of_users(path)) add_lost(directory, path, *entries, found.refused);
      return is_looked_at_elsewhere(path) ? std::vector<std::string>() : directories_in(*entries);
    }
    const int code = entries.error().code;
    if (code == ENOENT || (is_of_users(path) && !is_damage(code))) {
      return std::vector<std::string>();
    }
    const bool is_there = type_of(state.file(path)) != 0;
    found.refused.push_back({path, entries.error(), is_there});
    return std::vector<std::string>();
  });
  return found;
}

// Not what has lost its inode, which no rename finds; nor what the trees are found by, which a
// whole one in its place would have none of, nor what lent files are read by: the disk's own check
// may bring that back.
bool can_be_set_aside(const Unlisted& one) {
  if (!is_damage(one.why.code) || !one.is_there) return false;
  if (one.name.empty() || one.name == "trees") return false;
  if (one.name == "imports" || one.name.starts_with("imports/")) return false;
  if (!one.name.starts_with("trees/")) return true;
  const std::string_view room = text::last_part(one.name);
  return is_hidden_room(one.name) && (room == "rights" || room == "trash");
}

std::string_view advice(const Unlisted& one) {
  if (can_be_set_aside(one)) {
    return "the disk's own check (for ext4 e2fsck) may bring it back; --repair sets it aside, and "
           "one from a backup can be put in its place";
  }
  if (!is_damage(one.why.code)) {
    return "what it holds is not known, and a mount may be refused for it";
  }
  return "the disk's own check (for ext4 e2fsck) may bring it back; --repair has nothing to put in "
         "its place";
}

// "/workspaces/site", "/home/ann": a tree as a whole.
bool is_top(std::string_view path) {
  const bool is_below = path.starts_with("/workspaces/") || path.starts_with("/home/");
  return is_below && text::first_parts(path, 2) == path;
}

// By the journal: what stands in /workspaces and /home, and the record that tells of its making.
class Tops {
 public:
  void apply(const Record& record) {
    if (!record.kind.starts_with("tree.")) return;
    const std::string_view operation = std::string_view(record.kind).substr(5);
    const std::string path = json::bytes_of(record.data, "path");
    const std::string other = json::bytes_of(record.data, "other");
    if (makes(operation)) return add(path, record);
    const bool is_of_checkpoint = !record.data["name"].text().empty();
    if (operation == "remove" || (operation == "discard" && !is_of_checkpoint)) made_.erase(path);
    if (operation == "rename") {
      if (!record.data["exchange"].truth()) made_.erase(path);
      add(other, record);
    }
    if (operation == "interrupted") {  // it may have been done, or not
      made_.erase(path);
      made_.erase(other);
    }
  }
  const std::map<std::string, Sequence>& made() const { return made_; }

 private:
  static bool makes(std::string_view operation) {
    constexpr auto kMaking = std::to_array<std::string_view>(
        {"create", "mkdir", "symlink", "mknod", "link", "fork", "import"});
    return std::ranges::find(kMaking, operation) != kMaking.end();
  }
  void add(const std::string& path, const Record& record) {
    if (is_top(path)) made_.insert_or_assign(path, record.sequence);
  }

  std::map<std::string, Sequence> made_;
};

}  // namespace

Result<Findings> check_layout(Look& look) {
  Findings found{.sum = "every directory of it is one"};
  for (const Misplaced& one : misplaced(look.state)) {
    found.problems.push_back(one.sentence +
                             "; --repair sets it aside, and one from a backup can be "
                             "put in its place");
  }
  for (const std::string& name : look.state.lacked()) {
    found.notes.push_back(
        fmt::format("{}: was not there, and is again, empty; what it has held a "
                    "backup may have",
                    name));
  }
  const Listing listing = list_all(look.state);
  for (const Unlisted& one : listing.refused) {
    found.problems.push_back(fmt::format("{}; {}", one.why.message, advice(one)));
  }
  for (const std::string& name : listing.set_aside) {
    found.notes.push_back(fmt::format(
        "{}: was set aside as what the disk does not give; its own check may bring back what it "
        "holds, and nothing else does; once that is not wanted any more it can be removed",
        text::shown(name)));
  }
  return found;
}

// What was in the place of a directory or a file says nothing; what that held only a backup has.
Result<Sentences> repair_layout(const StateDirectory& state, const Quarantine& quarantine) {
  std::vector<Misplaced> all = misplaced(state);
  for (const Unlisted& one : list_all(state).refused) {
    if (can_be_set_aside(one)) all.push_back({one.name, one.why.message});
  }
  Sentences done;
  Status refused = ok();
  for (const Misplaced& one : all) {
    const auto kept = quarantine.take(one.name);
    if (kept) done.push_back(fmt::format("{}; it is in {} now", one.sentence, *kept));
    if (!kept && refused) refused = std::unexpected(kept.error());  // the others are mended
  }
  TRY(refused);
  const Status made = state.make_directories();
  if (!made && !is_damage(made.error().code)) return std::unexpected(made.error());
  return done;
}

// Which directory of the state was gone with what it held; "" where none was.
std::string lacked_above(const StateDirectory& state, const std::string& name) {
  for (const std::string& lacked : state.lacked()) {
    if (text::is_below(name, lacked)) return lacked;
  }
  return {};
}

// A power cut may take what was made just before and synced by nobody: told, and no damage. It does
// not take what every state has.
Result<Findings> check_tops(Look& look) {
  if (!look.journal) return Findings{.sum = "what the journal says is not known"};
  Tops tops;
  std::vector<std::string> damaged;
  const auto apply = [&](const Record& record, std::string_view) {
    tops.apply(record);
    return ok();
  };
  TRY(look.journal->replay_readable({}, apply, damaged));
  Findings found{
      .sum = fmt::format("{} in /workspaces and /home that the journal knows", tops.made().size())};
  for (const auto& [path, record] : tops.made()) {
    const std::string name = "trees" + path;
    if (type_of(look.state.file(name)) != 0) continue;
    const std::string lacked = lacked_above(look.state, name);
    if (!lacked.empty()) look.gone.emplace(text::parent_part(name));
    (lacked.empty() ? found.notes : found.problems)
        .push_back(fmt::format(
            "{} is not there{}; record {} tells of its making, and none of its removal; a backup "
            "may have it, and mkdir and `restore .` bring back what is kept of it",
            text::shown(path), lacked.empty() ? "" : fmt::format(", nor was STATE/{}", lacked),
            record.value));
  }
  return found;
}

}  // namespace agentfs::fsck
