// SPDX-License-Identifier: MIT
// Giving back what nothing depends on, and making trees solid for tools that look at the disk.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <deque>
#include <utility>

#include "backends/trees/disk_files.h"
#include "backends/trees/forest_store.h"
#include "base/directory.h"
#include "base/text.h"

namespace agentfs::trees {
namespace {

// Finds the states that the hollow directories of a tree read. Of what is removed meanwhile nothing
// is to be known.
class HollowWalk {
 public:
  explicit HollowWalk(const Marks& marks) : marks_(marks) {}
  std::set<SnapshotId> found;

  Status look(int above, const std::string& name) {
    const UniqueFd top(
        ::openat(above, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!top) return is_gone(errno) ? ok() : fail_errno(text::shown(name));
    Status looked = ok();
    walk_directories(top.get(), [&](int directory, const std::string& path, std::size_t depth) {
      auto below = looked ? visit(directory, errno, path, depth) : Names();
      if (!below) looked = std::unexpected(std::move(below).error());
      return std::move(below).value_or(Names());
    });
    opened_.clear();
    return looked;
  }

 private:
  using Names = std::vector<std::string>;
  // While the walk is in it or below.
  struct Opened {
    Opened(std::size_t its_depth, UniqueFd its)
        : depth(its_depth), directory(std::move(its)), mode(true, directory.get()) {}
    const std::size_t depth;
    const UniqueFd directory;
    const OpenedMode mode;
  };

  static bool is_gone(int code) { return code == ENOENT || code == ENOTDIR || code == ELOOP; }

  Result<Names> visit(int directory, int code, const std::string& path, std::size_t depth) {
    while (!opened_.empty() && opened_.back().depth >= depth) opened_.pop_back();
    if (directory < 0) {
      if (is_gone(code)) return Names();
      return fail_errno(code, text::shown(path));
    }
    struct stat its{};
    if (::fstat(directory, &its) != 0) return fail_errno(text::shown(path));
    if (!S_ISDIR(its.st_mode)) return Names();
    if (const auto source = TRY(marks_.hollow(Spot::of(directory)))) {
      found.insert({source->line, source->sequence});
      // Where the disk counts them, there are two for one without directories; with some it would
      // be one that is being filled.
      if (its.st_nlink == 2) return Names();
    }
    if (::geteuid() != 0 && (its.st_mode & S_IRWXU) != S_IRWXU) {
      UniqueFd own(::fcntl(directory, F_DUPFD_CLOEXEC, 0));
      if (!own) return fail_errno(text::shown(path));
      opened_.emplace_back(depth, std::move(own));
    }
    return directories_in(TRY(list_directory(directory)));
  }

  const Marks& marks_;
  std::deque<Opened> opened_;
};

}  // namespace

// A name may be in use still from before a crash: then the next one is tried.
Status ForestStore::to_trash(int directory, const std::string& name) {
  for (;;) {
    const std::string place = fmt::format("{}", next_trash_++);
    if (::renameat2(directory, name.c_str(), trash_.get(), place.c_str(), RENAME_NOREPLACE) == 0) {
      return ok();
    }
    if (errno != EEXIST) return fail_errno(text::shown(name));
  }
}

ForestDisk::Wanted ForestDisk::wanted() const {
  Wanted wanted;
  for (const auto& [number, name] : live) {
    auto& states = wanted[number];
    for (const auto& [sequence, state] : lines.at(number)->snapshots()) {
      if (!state.info.hidden) states.insert(sequence);
    }
  }
  for (bool grows = true; grows;) {
    grows = false;
    for (const auto& [number, line] : lines) {
      if (!live.contains(number) && wanted[number].empty()) continue;
      if (const auto& base = line->base(); base && live.contains(number)) {
        grows |= wanted[base->tree].insert(base->sequence).second;
      }
      for (const SnapshotId source : line->sources()) {
        grows |= wanted[source.tree].insert(source.sequence).second;
      }
    }
  }
  return wanted;
}

Result<std::size_t> ForestStore::discard(Line& line, const std::set<std::uint64_t>& states) {
  std::size_t freed = 0;
  for (const std::string& entry : line.unread(states)) {
    TRY(line.forget(entry, [&] { return to_trash(line.directory(), entry); }));
    ++freed;
  }
  if (freed != 0) ++line.shifts;
  std::vector<std::uint64_t> over;
  for (const auto& [sequence, state] : line.snapshots()) {
    if (state.info.hidden && !states.contains(sequence)) over.push_back(sequence);
  }
  for (const std::uint64_t sequence : over) TRY(line.remove(sequence));
  return freed;
}

// A state that is there for others anyway need not be looked for.
bool ForestStore::reads_given_up(const Line& line) const {
  return std::ranges::any_of(line.sources(), [&](const SnapshotId source) {
    if (line.base() == source) return false;
    const auto its = f_->lines.find(source.tree);
    if (its == f_->lines.end()) return false;
    const auto* const state = its->second->find(source.sequence);
    return !f_->live.contains(source.tree) || state == nullptr || state->info.hidden;
  });
}

// What lines may read is noted before they do, and stays while nobody looks. Looking takes as long
// as there are directories, so it is done without the lock, and counts where none has moved since.
Status ForestStore::forget_sources() {
  struct Reader {
    std::shared_ptr<Line> line;
    std::uint64_t shifts = 0;
    std::string live{};
    std::set<std::uint64_t> retired{};
  };
  std::vector<Reader> readers;
  {
    const std::shared_lock together(mutex_);
    if (!f_->unreadable.empty()) return ok();
    for (const auto& [number, line] : f_->lines) {
      if (line->looked_at == line->shifts || !reads_given_up(*line)) continue;
      const auto live = f_->live.find(number);
      readers.push_back(
          {line, line->shifts, live == f_->live.end() ? "" : live->second, line->retired()});
    }
  }
  for (const Reader& reader : readers) {
    HollowWalk walk(f_->marks());
    Status looked = reader.live.empty() ? ok() : walk.look(f_->top(), reader.live);
    for (const std::uint64_t sequence : reader.retired) {
      if (looked) looked = walk.look(reader.line->directory(), Line::retired_name(sequence));
    }
    if (!looked) continue;  // what cannot be read may read anything
    const std::unique_lock alone(mutex_);
    Line& line = *reader.line;
    if (line.shifts != reader.shifts || !f_->lines.contains(line.number())) continue;
    if (line.base()) walk.found.insert(*line.base());
    TRY(line.remove_sources_but(walk.found));
    line.looked_at = line.shifts;
  }
  return ok();
}

// What is to go is moved aside under the lock, and removed without it. What fails keeps its own
// room alone.
Result<std::size_t> ForestStore::collect() {
  std::size_t freed = 0;
  loose_ = false;
  Status all = forget_sources();
  const auto note = [&all](Status step) {
    if (!step && all) all = std::move(step);
  };
  {
    const std::unique_lock alone(mutex_);
    if (!f_->unreadable.empty()) return 0;  // nobody knows what these depend on
    ForestDisk::Wanted wanted = f_->wanted();
    for (auto line = f_->lines.begin(); line != f_->lines.end();) {
      const auto& states = wanted[line->first];
      if (f_->live.contains(line->first) || !states.empty()) {
        const auto discarded = discard(*line->second, states);
        if (discarded) freed += *discarded;
        if (!discarded) note(std::unexpected(discarded.error()));
        ++line;
        continue;
      }
      Status moved = to_trash(f_->hidden(), fmt::format("{}", line->first));
      line = moved ? f_->lines.erase(line) : std::next(line);
      if (moved) ++freed;
      note(std::move(moved));
    }
    std::erase_if(views_, [](const auto& view) { return view.second.expired(); });
    f_->collected();
  }
  for (const HostEntry& entry : TRY(list_directory(trash_.get()))) {
    if (entry.name != kSpareDirectory) note(remove_whole(trash_.get(), entry.name));
  }
  reserve_.fill();
  if (reserve_.exists()) keep_spare_directory(trash_.get());
  TRY(std::move(all));
  return freed;
}

// Whether nothing of a tree is hollow or lent, by what is known of the tree: it was neither forked
// from another nor rolled back.
bool ForestStore::is_whole(const ForestNode& node) const {
  const Lender* const lender = f_->marks().lender();
  if (lender != nullptr && lender->is_astray()) return false;
  const std::shared_lock together(mutex_);
  const Line* const line = node.tree->line.get();
  if (line == nullptr || node.tree->refusal != 0 || !line->sources().empty()) return false;
  return f_->live.contains(line->number()) && !f_->is_of_host(*line);
}

// One directory at a time, or a part of it, so that others go on in between.
Status ForestStore::solidify(const TreeNode& any, bool whole) {
  const auto top = TRY(own(any));
  if (top->type() == S_IFREG) return fetch(*top);
  if (!top->is_directory()) return fail_errno(ENOTDIR, host_path(any));
  if (is_whole(*top)) return ok();
  Status fetched = ok();  // what one file cannot give is no reason to leave out the others
  std::vector<ForestNodeRef> left{top};
  while (!left.empty()) {
    const auto directory = std::move(left.back());
    left.pop_back();
    std::vector<ForestNodeRef> lent;
    {
      const std::unique_lock alone(mutex_);
      const bool is_solid =
          TRY(f_->solidify(*directory, std::chrono::steady_clock::now() + f_->part()));
      if (!is_solid) {
        left.push_back(directory);
        continue;
      }
      if (!whole) break;
      const Borrowed fd = TRY(f_->borrow(*directory));
      const OwnerRights rights = TRY(OwnerRights::lend(fd.get(), S_IRWXU, f_->rights()));
      for (const HostEntry& entry : TRY(list_directory(fd.get()))) {
        if (entry.type != S_IFDIR && entry.type != S_IFREG) continue;
        const auto found = f_->find_alone(*directory, entry.name);
        if (!found) continue;
        auto below = std::static_pointer_cast<ForestNode>(found->node);
        if (entry.type == S_IFDIR)
          left.push_back(std::move(below));
        else if (f_->lends(*below))
          lent.push_back(std::move(below));
      }
    }
    for (const ForestNodeRef& file : lent) {
      if (Status one = fetch(*file); !one && fetched) fetched = std::move(one);
    }
  }
  TRY(fetched);
  const auto names = f_->book().names(*top);
  const bool tree = !names.empty() && f_->is_top(*names.front().parent);
  const std::unique_lock alone(mutex_);
  // States of the tree itself may have hollow directories yet.
  if (!whole || !tree || !top->tree->line || top->tree->line->newest() != 0) return ok();
  return top->tree->line->remove_sources();
}

}  // namespace agentfs::trees
