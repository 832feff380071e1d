// SPDX-License-Identifier: MIT
#include "kernel/packed_refs.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "base/log.h"
#include "base/text.h"
#include "kernel/kernel.h"
#include "kernel/paths.h"
#include "kernel/tree_path.h"

namespace agentfs {
namespace {

// Each state has at most so many names of refs, and every so many commits a packed-refs.
constexpr std::size_t kMostLoose = 128;
constexpr std::string_view kFirstLine = "# pack-refs with: peeled fully-peeled sorted \n";
constexpr std::string_view kSorted = " sorted ";

bool is_id(std::string_view word) {
  constexpr std::size_t kSha1 = 40;
  constexpr std::size_t kSha256 = 64;
  const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  return (word.size() == kSha1 || word.size() == kSha256) && std::ranges::all_of(word, is_hex);
}

// That its lines are sorted is true now, whatever it was.
std::string first_line(std::string_view line) {
  std::string said(text::trim(line));
  if (!(said + ' ').contains(kSorted)) said += " sorted";
  return said + " \n";
}

struct PackedRefs {
  std::string first{};                         // what the file says of itself
  std::map<std::string, std::string> lines{};  // by name, with what it was peeled to

  static Result<PackedRefs> parse(std::string_view text) {
    PackedRefs all;
    if (text.empty()) all.first = kFirstLine;
    auto last = all.lines.end();
    for (const std::string_view line : text::split(text, '\n')) {
      const auto blank = line.find(' ');
      if (line.empty()) continue;
      if (line.starts_with('#')) {
        if (all.first.empty()) all.first = first_line(line);
      } else if (line.starts_with('^') && last != all.lines.end() && is_id(line.substr(1))) {
        last->second += fmt::format("{}\n", line);
      } else if (blank != line.npos && is_id(line.substr(0, blank))) {
        std::string name(line.substr(blank + 1));
        last = all.lines.insert_or_assign(std::move(name), fmt::format("{}\n", line)).first;
      } else {
        return fail(EBADMSG, "packed-refs: a line that is no ref: {}", text::shown(line));
      }
    }
    return all;
  }
  // Whether the ref is this commit in it.
  bool has(const std::string& name, const std::string& id) const {
    const auto line = lines.find(name);
    return line != lines.end() && line->second.starts_with(id + ' ');
  }
};

// The loose refs of one repository, and where they are to go.
class Packing {
 public:
  Packing(Kernel& kernel, std::string root, Forest& forest, TreeNodeRef git, TreeNodeRef loose)
      : kernel_(kernel),
        root_(std::move(root)),
        forest_(forest),
        git_(std::move(git)),
        loose_(std::move(loose)) {}

  // Their names; what lies beside them has no id.
  Result<std::vector<std::string>> names() const {
    std::vector<std::string> all = TRY(names_in(forest_, *loose_));
    std::erase_if(all, [](const std::string& name) { return name.ends_with(".lock"); });
    return all;
  }

  // A git that has the lock by now has read what was packed before, and may put that back.
  Status pack(const std::string& directory, const std::vector<std::string>& names) const {
    if (is_locked()) return ok();
    TRY(kernel_.paths().rewrite(
        Caller::daemon(kernel_), root_ + "/.git/packed-refs", [&]() -> Result<std::string> {
          std::map<std::string, std::string> refs;
          for (const std::string& name : names) {
            const auto id = id_of(name);
            if (id) refs.emplace(path_in(directory, name), *id);
          }
          return with_refs(TRY(read_file(forest_, *TRY(packed_file()))), refs);
        }));
    if (is_locked()) return ok();
    const PackedRefs packed = TRY(synced());
    for (const std::string& name : names) {
      const auto id = id_of(name);
      if (!id || !packed.has(path_in(directory, name), *id)) continue;
      TRY(forest_.unlink(*loose_, name, TreeCaller{}));
    }
    return ok();
  }

 private:
  static constexpr const char* kPacked = "packed-refs";
  static constexpr const char* kLock = "packed-refs.lock";

  bool is_locked() const { return find_in_tree(forest_, git_, kLock).has_value(); }

  std::optional<std::string> id_of(const std::string& name) const {
    const auto read = read_rules(forest_, loose_, name);
    const std::string_view word = read ? text::trim(*read) : std::string_view();
    return is_id(word) ? std::optional(std::string(word)) : std::nullopt;
  }

  // Made where there is none, as the repository's owner would.
  Result<TreeNodeRef> packed_file() const {
    auto found = forest_.lookup(*git_, kPacked);
    if (!found && found.error().code == ENOENT) {
      const struct stat its = TRY(forest_.attributes(*git_));
      const TreeCaller owner{.uid = its.st_uid, .gid = its.st_gid};
      constexpr int kNew = O_RDWR | O_CREAT | O_EXCL;
      constexpr mode_t kReadable = S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH;
      const mode_t mode = S_IFREG | (kReadable & (its.st_mode | S_IWUSR));
      TRY(forest_.create(*git_, kPacked, kNew, mode, owner));
      found = forest_.lookup(*git_, kPacked);
    }
    if (!found) return std::unexpected(std::move(found).error());
    if (found->node->type() != S_IFREG) return fail(EINVAL, "{}: no plain file", kPacked);
    return found->node;
  }

  // On the disk, so that a power cut leaves it where the others have gone.
  Result<PackedRefs> synced() const {
    const TreeNodeRef packed = TRY(packed_file());
    const auto file = TRY(forest_.open(*packed, O_RDONLY, TreeCaller{}));
    TRY(forest_.fsync(*file, false));
    const auto directory = TRY(forest_.open_directory(*git_));
    TRY(forest_.fsync(*directory, false));
    return PackedRefs::parse(TRY(read_file(forest_, *packed)));
  }

  Kernel& kernel_;
  const std::string root_;
  Forest& forest_;
  const TreeNodeRef git_;
  const TreeNodeRef loose_;
};

}  // namespace

Result<std::string> with_refs(std::string_view packed,
                              const std::map<std::string, std::string>& refs) {
  PackedRefs all = TRY(PackedRefs::parse(packed));
  for (const auto& [name, id] : refs) all.lines[name] = fmt::format("{} {}\n", id, name);
  std::string text = std::move(all.first);
  for (const auto& [name, line] : all.lines) text += line;
  return text;
}

void pack_refs(Kernel& kernel, Forest& forest, const std::string& root,
               const std::string& directory) {
  const Status packed = [&]() -> Status {
    const TreeEntry tree = TRY(forest.lookup(*forest.root(), paths::name_of(root)));
    const auto git = find_in_tree(forest, tree.node, ".git");
    const auto loose = git ? find_in_tree(forest, git->node, directory) : git;
    if (!loose || git->node->type() != S_IFDIR || loose->node->type() != S_IFDIR) return ok();
    const Packing packing(kernel, root, forest, git->node, loose->node);
    const auto names = TRY(packing.names());
    if (names.size() <= kMostLoose) return ok();
    return packing.pack(directory, names);
  }();
  if (!packed) log::warning("{}: {} stays unpacked: {}", root, directory, packed.error().message);
}

}  // namespace agentfs
