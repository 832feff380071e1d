// SPDX-License-Identifier: MIT
// Opening a forest: its lines and trees, and what a crash left half done.
#include "backends/trees/forest_open.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "backends/trees/forest_missing.h"
#include "backends/trees/forest_store.h"
#include "base/damage.h"
#include "base/directory.h"
#include "base/log.h"
#include "base/owner_rights.h"
#include "base/text.h"

namespace agentfs {
namespace trees {
namespace {

constexpr char kPlace[] = "here";

Result<UniqueFd> ensure_directory(int above, const char* name) {
  const auto refused = [&] {
    const int code = errno;
    return fail_errno(code, fmt::format("{}/{}", descriptor_path(above), name));
  };
  if (::mkdirat(above, name, 0700) != 0 && errno != EEXIST) return refused();
  UniqueFd fd(::openat(above, name, O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return refused();
  return fd;
}

Result<UniqueFd> open_hidden(const std::string& hidden, const struct stat& top) {
  TRY(file::make_directories(hidden, 0700));
  UniqueFd fd(::open(hidden.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  struct stat attributes{};
  if (!fd || ::fstat(fd.get(), &attributes) != 0) return fail_errno(hidden);
  if (attributes.st_dev == top.st_dev) return fd;
  return fail(EXDEV, "{}: not on the filesystem of the trees; a directory beside them is", hidden);
}

// Whose attributes the trees are marked by: what an ordinary user's daemon has begun, root's goes
// on with as that does, since the marks that root alone may set are not there.
Result<bool> are_marked_by_root(int top) {
  bool has_users = false;
  for (const HostEntry& entry : TRY(list_directory(top))) {
    if (entry.type != S_IFDIR) continue;
    const Spot root = Spot::in(top, entry.name);
    const auto is_marked = [&](bool trusted) {
      const auto mark = Marks(trusted).tree(root);
      return !mark || *mark;  // a damaged one is one
    };
    if (is_marked(true)) return true;
    has_users = has_users || is_marked(false);
  }
  return !has_users;
}

Result<std::optional<DirectoryKey>> place_of(const ForestRoom& room) {
  const auto target = link_target(room.hidden.get(), kPlace);
  if (!target && errno == ENOENT) return std::nullopt;
  if (!target) return fail_errno(kPlace);
  const auto words = text::words(*target);
  auto key = words.size() == 3 ? key_from(words[0], words[1], words[2]) : std::nullopt;
  if (!key) return fail(EBADMSG, "{}: the forest's record of its place, damaged", kPlace);
  return key;
}

}  // namespace

Result<ForestRoom> open_room(const std::string& directory, const std::string& hidden,
                             const ForestOptions& options) {
  ForestRoom room;
  std::error_code error;
  room.path = std::filesystem::canonical(directory, error);
  if (error) return fail_errno(error.value(), directory);
  raise_open_files_limit();
  auto table = TRY(NodeTable::open(room.path, {options.descriptors, options.file_handles}));
  auto root = TRY(table->root());
  room.hidden = TRY(open_hidden(hidden, root.attributes));
  ForestDisk::Parts parts;
  parts.top = UniqueFd(::open(room.path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!parts.top) return fail_errno(room.path);
  parts.hidden = TRY(ensure_directory(room.hidden.get(), "lines"));
  parts.rights = TRY(ensure_directory(room.hidden.get(), "rights"));
  parts.ids = TRY(FileIds::open(room.hidden.get()));
  parts.rows = TRY(MarkRows::open(room.hidden.get()));
  parts.stand_ins = TRY(StandIns::open(TRY(ensure_directory(room.hidden.get(), kStandIns))));
  parts.table = table;
  parts.disk = std::make_unique<DirectoryTree>(room.path, table, root.node);
  parts.book = std::make_shared<NodeBook>(root.attributes.st_dev);
  parts.trusted = options.trusted && ::geteuid() == 0 && TRY(are_marked_by_root(parts.top.get()));
  parts.lender = options.lender;
  parts.part = options.part;
  room.disk = std::make_unique<ForestDisk>(std::move(parts));
  room.disk->top_node = room.disk->book().ensure({.parent = nullptr,
                                                  .name = "",
                                                  .tree = std::make_shared<Tree>(),
                                                  .disk = root.node,
                                                  .source = {},
                                                  .type = S_IFDIR,
                                                  .number = root.attributes.st_ino});
  room.trash = TRY(ensure_directory(room.hidden.get(), "trash"));
  return room;
}

Status set_place(const ForestRoom& room) {
  const std::string here = to_text(room.disk->key_of(room.disk->hidden()));
  if (::unlinkat(room.hidden.get(), kPlace, 0) != 0 && errno != ENOENT) return fail_errno(kPlace);
  if (::symlinkat(here.c_str(), room.hidden.get(), kPlace) != 0) return fail_errno(kPlace);
  return ok();
}

Status check_place(const ForestRoom& room, bool look_only) {
  const auto kept = TRY(place_of(room));
  if (kept && is_same(*kept, room.disk->key_of(room.disk->hidden()))) return ok();
  if (kept && !TRY(list_directory(room.disk->hidden())).empty()) {
    return fail(
        ESTALE,
        "{}: this is a copy, made file by file, of trees that were forked or kept, and what "
        "these read is known by the directories they were copied from; `agentfs fsck "
        "--repair` sets the forks and checkpoints of before aside and keeps the rest",
        room.path);
  }
  return look_only ? ok() : set_place(room);
}

bool names_root(const Line& line, const DirectoryKey& directory) {
  return std::ranges::any_of(
      line.snapshots(), [&](const auto& each) { return is_same(each.second.root, directory); });
}

Result<std::optional<TreeMark>> mark_of_tree(const ForestDisk& disk, const std::string& name) {
  const UniqueFd fd(::openat(disk.top(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return fail_errno(text::shown(name));
  const OwnerRights lent = TRY(OwnerRights::lend(fd.get(), S_IRUSR, disk.rights()));
  return disk.marks().tree(Spot::of(fd.get()));
}

Result<Content> content_of(ForestDisk& disk, const SnapshotId& state) {
  const auto line = disk.lines.find(state.tree);
  const auto* found = line == disk.lines.end() ? nullptr : line->second->find(state.sequence);
  if (found == nullptr) return fail(ENOENT, "state {}.{}: not there", state.tree, state.sequence);
  return disk.resolve({state.tree, state.sequence, found->root});
}

Result<Content> forked_at(ForestDisk& disk, const Line& line) {
  if (line.base() && line.retired().empty()) return content_of(disk, *line.base());
  return fail(ENOENT, "line {}: nothing says what its root reads", line.number());
}

namespace {

struct EntryKey {
  std::string name;
  ino_t inode = 0;  // of files, which trees share; each has a directory of its own
  friend auto operator<=>(const EntryKey&, const EntryKey&) = default;
};

Result<std::vector<EntryKey>> entries_of(ForestDisk& disk, const TreeNode& directory) {
  const Borrowed fd = TRY(disk.table().borrow(directory));
  std::vector<EntryKey> entries;
  for (HostEntry& entry : TRY(list_directory(fd.get()))) {
    entries.push_back({std::move(entry.name), entry.type == S_IFDIR ? 0 : entry.inode});
  }
  std::ranges::sort(entries);
  return entries;
}

// A kept directory that lost names, or of which nobody knows: then who reads more is not wrong.
bool may_lack_names(ForestDisk& disk, const Content& known) {
  const auto fd = known.saved ? disk.table().borrow(*known.directory) : Result<Borrowed>();
  const auto entries = fd && *fd ? list_directory(fd->get()) : fail_errno(ENOENT, "");
  if (!entries) return false;
  return !disk.marks().file(Spot::of(fd->get())).roll ||
         is_amiss(disk.marks(), fd->get(), *entries);
}

bool is_root_of(ForestDisk& disk, const std::string& name, std::uint32_t number) {
  const UniqueFd fd(::openat(disk.top(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  const auto line = disk.lines.find(number);
  return fd && line != disk.lines.end() && names_root(*line->second, disk.key_of(fd.get()));
}

// Of those that bear one mark only that is served which a snapshot names: which of the others are
// damaged is not known here. Their names, each with the sentence.
std::map<std::string, std::string> find_doubles(ForestDisk& disk,
                                                const std::vector<HostEntry>& trees) {
  std::map<std::uint32_t, std::vector<std::string>> claims;
  for (const HostEntry& entry : trees) {
    const auto mark = disk.marks().tree(Spot::in(disk.top(), entry.name));
    if (mark && *mark) claims[(*mark)->line].push_back(entry.name);
  }
  std::map<std::string, std::string> doubles;
  for (const auto& [number, names] : claims) {
    if (names.size() == 1) continue;
    for (const std::string& name : names) {
      if (is_root_of(disk, name, number)) continue;
      doubles[name] = fmt::format(
          "{} bear one mark, of which one at most is true; `agentfs fsck --repair` writes the "
          "others anew where the records say what they are",
          text::shown_some(names));
    }
  }
  return doubles;
}

// What is so damaged, or closed, is one tree's or line's: the others are whole.
bool is_its_own(const Error& error) {
  constexpr auto kCodes = std::to_array({ESTALE, EACCES, EPERM, EINVAL, ENOTDIR, EISDIR, ELOOP});
  return is_damage(error.code) || std::ranges::find(kCodes, error.code) != kCodes.end();
}

bool has_lost_its_tree(const ForestDisk& disk, const Line& line) {
  const bool is_over = line.was_dropped() || (line.snapshots().empty() && !line.base());
  return !is_over && !disk.live.contains(line.number());
}

// Of its own files it has all where neither it nor a directory in it reads another tree.
bool reads_others(const ForestDisk& disk, int directory) {
  const auto is_hollow = [&](const Spot& spot) {
    const auto source = disk.marks().hollow(spot);
    return source && *source;
  };
  if (is_hollow(Spot::of(directory))) return true;
  const auto entries = list_directory(directory);
  return entries && std::ranges::any_of(*entries, [&](const HostEntry& entry) {
           return entry.type == S_IFDIR && is_hollow(Spot::in(directory, entry.name));
         });
}

// Trees without a mark that have had one: a line has lost its tree, and names the directory, or
// that reads others. As it lies names would be missing in it, and what is kept for it would be
// given up.
std::vector<std::string> find_lost(ForestDisk& disk, const std::vector<HostEntry>& trees) {
  std::vector<const Line*> lines;
  for (const auto& [number, line] : disk.lines) {
    if (has_lost_its_tree(disk, *line)) lines.push_back(line.get());
  }
  std::vector<std::string> lost;
  if (lines.empty()) return lost;
  for (const HostEntry& entry : trees) {
    const UniqueFd fd(::openat(disk.top(), entry.name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    const auto mark = fd ? disk.marks().tree(Spot::of(fd.get())) : fail_errno(entry.name);
    if (!mark || *mark) continue;
    const DirectoryKey key = disk.key_of(fd.get());
    // By its number alone it may be another one.
    const bool is_named =
        !key.handle.bytes.empty() &&
        std::ranges::any_of(lines, [&](const Line* line) { return names_root(*line, key); });
    if (is_named || reads_others(disk, fd.get())) lost.push_back(entry.name);
  }
  return lost;
}

// While they are looked at: an ordinary user's daemon is their owner, who may have closed them to
// itself.
std::vector<OwnerRights> lend_rights(const ForestDisk& disk, const std::vector<HostEntry>& trees) {
  std::vector<OwnerRights> rights;
  for (const HostEntry& entry : trees) {
    const UniqueFd fd(::openat(disk.top(), entry.name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    auto lent = fd ? OwnerRights::lend(fd.get(), S_IRWXU, disk.rights()) : fail_errno(entry.name);
    if (lent && lent->are_lent()) rights.push_back(std::move(*lent));
  }
  return rights;
}

}  // namespace

// By another way where the parent was taken back before: what the fork reads through it may since
// have been kept for the parent, too.
bool reads(ForestDisk& disk, const Spot& directory, const Content& known) {
  const auto mark = disk.marks().hollow(directory);
  if (!mark) return false;
  if (!*mark) return true;
  const auto content = disk.resolve(**mark);
  if (!content) return false;
  if (content->directory == known.directory) return true;
  const auto its = entries_of(disk, *content->directory);
  const auto wanted = entries_of(disk, *known.directory);
  if (!its || !wanted) return false;
  return *its == *wanted || (may_lack_names(disk, known) && std::ranges::includes(*its, *wanted));
}

Status ForestStore::load_lines(std::map<std::uint32_t, std::string>& damaged) {
  for (const HostEntry& entry : TRY(list_directory(f_->hidden()))) {
    const auto number = text::number<std::uint32_t>(entry.name);
    if (!number) continue;
    next_number_ = std::max(next_number_, *number + 1);
    auto line = Line::load(f_->hidden(), *number, f_->marks());
    if (!line && !is_its_own(line.error())) return std::unexpected(line.error());
    if (!line) {
      const std::string why = fmt::format("lines/{}: {}", *number, line.error().message);
      log::error("{}: {}", path_, why);
      damaged[*number] = why;
      f_->unreadable[fmt::format("lines/{}", *number)] = why;  // no name: nothing is collected
      continue;
    }
    for (const auto& [sequence, state] : (*line)->snapshots()) {
      next_number_ = std::max(next_number_, state.shown + 1);
    }
    if (const auto name = (*line)->leaving()) {
      const Status back = (*line)->come_back(f_->top());
      // Until it has a place nothing is collected.
      if (!back) f_->unreadable[*name + ", discarded by half"] = back.error().message;
    }
    f_->lines[*number] = std::move(*line);
  }
  return ok();
}

Status ForestStore::load_tree(const std::string& name,
                              const std::map<std::uint32_t, std::string>& damaged) {
  const auto mark = TRY(f_->marks().tree(Spot::in(f_->top(), name)));
  if (!mark) return ok();
  if (const auto found = damaged.find(mark->line); found != damaged.end()) {
    return fail(EBADMSG, "{}", found->second);
  }
  const auto line = f_->lines.find(mark->line);
  if (line == f_->lines.end()) {
    return fail(EBADMSG, "its mark names line {} of the forest, which is not there", mark->line);
  }
  auto tree = std::make_shared<Tree>();
  tree->line = line->second;
  tree->shown = mark->shown;
  tree->turned = mark->turned;
  next_number_ = std::max(next_number_, mark->turned + 1);
  tree->epoch = 1;
  f_->set_tree(*TRY(f_->open_entry(f_->top(), name)).node, std::move(tree));
  f_->live[mark->line] = name;
  return ok();
}

Status ForestStore::settle(Line& line, const std::string& name) {
  const auto root = TRY(own(*TRY(f_->find(*f_->top_node, name)).node));
  TRY(end_rollback(line, *root));
  return f_->recover(line, *root);
}

Status ForestStore::load() {
  std::map<std::uint32_t, std::string> damaged;
  TRY(load_lines(damaged));
  const auto set_aside = [&](const std::string& name, const Status& done) -> Status {
    if (done) return ok();
    if (!is_its_own(done.error())) return done;
    log::error("{}/{}: not served: {}", path_, text::shown(name), done.error().message);
    f_->unreadable[name] = done.error().message;
    return ok();
  };
  std::vector<HostEntry> trees = TRY(list_directory(f_->top()));
  std::erase_if(trees, [](const HostEntry& entry) { return entry.type != S_IFDIR; });
  const auto rights = lend_rights(*f_, trees);
  const auto doubles = find_doubles(*f_, trees);
  for (const HostEntry& entry : trees) {
    const auto found = doubles.find(entry.name);
    const bool is_double = found != doubles.end();
    TRY(set_aside(entry.name,
                  is_double ? fail(EBADMSG, "{}", found->second) : load_tree(entry.name, damaged)));
  }
  for (const std::string& name : find_lost(*f_, trees)) {
    TRY(set_aside(name, fail(EBADMSG,
                             "has lost its mark; where the records say what it is, "
                             "`agentfs fsck --repair` writes it anew")));
  }
  for (const auto& [number, name] : f_->live) {
    TRY(set_aside(name, settle(*f_->lines.at(number), name)));
  }
  return ok();
}

// The root that a rollback retires is the one that the state before it was taken of: where that is
// still live, the two never changed places.
Status ForestStore::end_rollback(Line& line, ForestNode& root) {
  if (line.retired().empty()) return ok();
  const std::uint64_t last = *line.retired().rbegin();
  const Line::Snapshot* const before = line.find(last);
  if (before == nullptr || root.disk == nullptr) return ok();
  const Borrowed fd = TRY(f_->borrow(root));
  return before->root == f_->key_of(fd.get()) ? line.remove_retired(last) : ok();
}

}  // namespace trees

Result<std::unique_ptr<Forest>> open_forest(const std::string& directory, const std::string& hidden,
                                            const ForestOptions& options) {
  trees::ForestRoom room = TRY(trees::open_room(directory, hidden, options));
  TRY(trees::check_place(room, false));
  TRY(mend_rights(room.disk->rights()));
  const std::string reserve = options.keeps_room ? hidden + "/reserve" : std::string();
  auto store = std::make_unique<trees::ForestStore>(room.path, reserve, std::move(room.disk),
                                                    std::move(room.trash));
  TRY(store->load());
  return store;
}

}  // namespace agentfs
