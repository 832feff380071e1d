// SPDX-License-Identifier: MIT
// What a forest has beside what the model says.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "driver.h"

namespace agentfs::test {
namespace {

const TreeCaller kMyself{};
constexpr auto kLow = 0xFFFFFFFFu;

std::string read_all(int fd) {
  std::string text(4096, '\0');
  const ssize_t got = ::pread(fd, text.data(), text.size(), 0);
  text.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  return got < 0 ? "unreadable" : text;
}

void count_names(const ModelRef& file, std::map<const ModelFile*, nlink_t>& names) {
  for (const auto& [name, entry] : file->entries) {
    ++names[entry.get()];
    if (entry->is_directory()) count_names(entry, names);
  }
}

// What must be told of two directories; directories that only one has are not descended into.
void expect_differences(const ModelFile& before, const ModelFile& after, const std::string& path,
                        std::set<std::string>& paths) {
  std::set<std::string> names;
  for (const auto* side : {&before, &after}) {
    for (const auto& [name, entry] : side->entries) names.insert(name);
  }
  for (const std::string& name : names) {
    const auto a = before.entries.find(name);
    const auto b = after.entries.find(name);
    const std::string full = path.empty() ? name : fmt::format("{}/{}", path, name);
    const bool both = a != before.entries.end() && b != after.entries.end();
    if (!both || a->second->type != b->second->type || a->second->mode != b->second->mode ||
        a->second->content != b->second->content) {
      paths.insert(full);
    }
    if (both && a->second->is_directory() && b->second->is_directory()) {
      expect_differences(*a->second, *b->second, full, paths);
    }
  }
}

bool same_time(const timespec& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

std::string shown(const timespec& time) {
  return fmt::format("{}.{:09}", time.tv_sec, time.tv_nsec);
}

}  // namespace

std::string Driver::compare_times(const struct stat& attributes, ModelFile& file) {
  const ino_t low = attributes.st_ino & kLow;
  if (!file.seen) file.seen = ModelFile::Seen{.inode = low};
  ModelFile::Seen& seen = *file.seen;
  holders_.emplace(low, &file);
  if (seen.inode != low) renumbered_.push_back({"", &file, low});
  if (!seen.modified) seen.modified = attributes.st_mtim;
  if (!same_time(*seen.modified, attributes.st_mtim)) {
    return fmt::format("mtime {} became {}", shown(*seen.modified), shown(attributes.st_mtim));
  }
  if (!seen.changed) seen.changed = attributes.st_ctim;
  if (!same_time(*seen.changed, attributes.st_ctim)) {
    return fmt::format("ctime {} became {}", shown(*seen.changed), shown(attributes.st_ctim));
  }
  return "";
}

std::string Driver::compare_file(const TreeNodeRef& node, ModelFile& file) {
  const auto attributes = forest_->attributes(*node);
  if (!attributes) return attributes.error().message;
  if ((attributes->st_mode & S_IFMT) != file.type) return "type";
  if (file.type != S_IFLNK && (attributes->st_mode & 07777) != file.mode) {
    return fmt::format("mode {:o}, not {:o}", attributes->st_mode & 07777, file.mode);
  }
  if (attributes->st_ino != node->inode()) return "inode of the node";
  // Since a rollback all but directories have a number of their own above theirs.
  const std::uint64_t above = attributes->st_ino >> 32;
  if (!file.is_directory() && !files_above_) files_above_ = above;
  if (above != (file.is_directory() ? above_ : *files_above_)) return fmt::format("tree {}", above);
  if (!file.is_directory() && attributes->st_nlink != names_[&file]) {
    return fmt::format("{} links, not {}", attributes->st_nlink, names_[&file]);
  }
  const auto [known, fresh] = inodes_.emplace(&file, attributes->st_ino);
  if (!fresh && known->second != attributes->st_ino) return "a group of links broke";
  const auto listed = forest_->list_xattr(*node);
  if (!listed) return listed.error().message;
  std::string expected;
  for (const auto& [name, value] : file.attributes) {
    const auto got = forest_->get_xattr(*node, name);
    if (!got || *got != value) return fmt::format("attribute {}", name);
    expected.append(name).push_back('\0');
  }
  if (listed->size() != expected.size()) return fmt::format("attributes {:?}", *listed);
  if (file.type == S_IFREG) {
    const auto open = forest_->open(*node, O_RDONLY, kMyself);
    if (!open) return open.error().message;
    const std::string content = read_all((*open)->descriptor());
    if (content != file.content) return fmt::format("{:?}, not {:?}", content, file.content);
  }
  if (file.type == S_IFLNK && forest_->read_link(*node).value_or("") != file.content)
    return "target";
  return times_ ? compare_times(*attributes, file) : "";
}

std::string Driver::compare_tree(const TreeNodeRef& node, ModelFile& file,
                                 const std::string& path) {
  const std::size_t renumbered = renumbered_.size();
  if (std::string wrong = compare_file(node, file); !wrong.empty()) {
    return fmt::format("{}: {}", path, wrong);
  }
  if (renumbered_.size() != renumbered) renumbered_.back().path = path;
  if (!file.is_directory()) return "";
  std::map<std::string, TreeStore::DirectoryEntry> listed;
  const auto directory = forest_->open_directory(*node);
  if (!directory) return fmt::format("{}: {}", path, directory.error().message);
  const Status read = forest_->read_directory(**directory, 0, [&](const auto& entry) {
    listed[entry.name] = entry;
    return true;
  });
  if (!read) return fmt::format("{}: {}", path, read.error().message);
  if (listed.erase(".") + listed.erase("..") != 2) return fmt::format("{}: no dots", path);
  for (const auto& [name, entry] : listed) {
    if (!file.entries.contains(name)) return fmt::format("{}: {} should not be", path, name);
  }
  for (const auto& [name, below] : file.entries) {
    const auto found = forest_->lookup(*node, name);
    const std::string full = fmt::format("{}/{}", path, name);
    if (!found) return fmt::format("{}: {}", full, found.error().message);
    if (!listed.contains(name)) return fmt::format("{}: not listed", full);
    if (listed[name].type != below->type) return fmt::format("{}: listed as another type", full);
    // A crash may come between a file and the note that listings know its number by.
    if (times_ && listed[name].inode != found->attributes.st_ino) {
      return fmt::format("{}: listed as {}, is {}", full, listed[name].inode,
                         found->attributes.st_ino);
    }
    if (std::string wrong = compare_tree(found->node, *below, full); !wrong.empty()) return wrong;
  }
  return "";
}

std::string Driver::compare_root(const TreeNodeRef& root, ModelFile& file,
                                 const std::string& path) {
  names_.clear();
  inodes_.clear();
  for (auto& [name, entry] : file.entries) {
    ++names_[entry.get()];
    if (entry->is_directory()) count_names(entry, names_);
  }
  above_ = root->inode() >> 32;
  files_above_.reset();
  return compare_tree(root, file, path);
}

// A rollback may bring something back whose number the disk has given to another file meanwhile.
std::string Driver::compare_numbers() {
  for (const Renumbered& one : renumbered_) {
    ino_t& before = one.file->seen->inode;
    const auto [first, last] = holders_.equal_range(before);
    const bool is_taken =
        std::any_of(first, last, [&](const auto& holder) { return holder.second != one.file; });
    if (before != one.number && !is_taken) {
      return fmt::format("{}: inode {} became {}", one.path, before, one.number);
    }
  }
  for (const Renumbered& one : renumbered_) one.file->seen->inode = one.number;
  return "";
}

std::string Driver::compare(World& world, bool times) {
  holders_.clear();
  renumbered_.clear();
  std::string wrong = compare_all(world, times);
  return wrong.empty() ? compare_numbers() : wrong;
}

std::string Driver::compare_all(World& world, bool times) {
  times_ = times;
  std::set<std::string> listed;
  const auto top = forest_->open_directory(*forest_->root());
  if (!top) return top.error().message;
  (void)forest_->read_directory(**top, 0, [&](const auto& entry) {
    if (entry.name != "." && entry.name != "..") listed.insert(entry.name);
    return true;
  });
  for (const std::string& name : listed) {
    if (!world.trees().contains(name)) return fmt::format("{}: should not be", name);
  }
  for (const auto& [name, root] : world.trees()) {
    const auto node = find({name});
    if (!node) return fmt::format("{}: {}", name, node.error().message);
    if (std::string wrong = compare_root(*node, *root, name); !wrong.empty()) return wrong;
  }
  for (const auto& [number, root] : world.states()) {
    // After a crash, states that have no label of their own are not known again.
    if (!states_.contains(number) && !times) continue;
    if (!states_.contains(number)) return fmt::format("state {} is gone", number);
    const auto node = forest_->snapshot_root(states_.at(number));
    if (!node) return fmt::format("state {}: {}", number, node.error().message);
    const std::string path = fmt::format("state {}", number);
    if (std::string wrong = compare_root(*node, *root, path); !wrong.empty()) return wrong;
  }
  for (const auto& [index, open] : world.open()) {
    if (!open_.contains(index)) continue;
    struct stat own{};
    if (::fstat(open_.at(index)->descriptor(), &own) == 0) {
      holders_.emplace(own.st_ino & kLow, open.file.get());
    }
    const std::string content = read_all(open_.at(index)->descriptor());
    if (content != open.file->content) {
      return fmt::format("open file {}: {:?}, not {:?}", index, content, open.file->content);
    }
  }
  return "";
}

std::string Driver::compare_differences(const World& world) {
  for (const auto& [number, tree] : world.owners()) {
    const auto before = forest_->snapshot_root(states_.at(number));
    const auto after = find({tree});
    if (!before || !after) return "a root is gone";
    std::set<std::string> told;
    const Status done = forest_->compare(**before, **after, [&](const Difference& difference) {
      told.insert(difference.path);
      return true;
    });
    if (!done) return done.error().message;
    std::set<std::string> expected;
    expect_differences(*world.states().at(number), *world.trees().at(tree), "", expected);
    for (const std::string& path : expected) {
      if (!told.contains(path)) return fmt::format("state {} and {}: {}", number, tree, path);
    }
  }
  return "";
}

}  // namespace agentfs::test
