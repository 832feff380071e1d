// SPDX-License-Identifier: MIT
#include "driver.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

namespace agentfs::test {
namespace {

using Kind = Operation::Kind;
const TreeCaller kMyself{};
constexpr auto kLow = 0xFFFFFFFFu;

Status write_at(Forest& forest, const TreeFile& file, const std::string& text, std::size_t at) {
  const Writing writing = TRY(forest.begin_write(file));
  const ssize_t put = ::pwrite(file.descriptor(), text.data(), text.size(), static_cast<off_t>(at));
  if (put != static_cast<ssize_t>(text.size())) return fail_errno("pwrite");
  return ok();
}

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

Driver::Driver(std::string base, ForestOptions options)
    : base_(std::move(base)), options_(options) {
  options_.trusted = options_.trusted && ::geteuid() == 0;
  const std::string trees = base_ + "/trees";
  if (!file::exists(trees)) {
    for (const char* tree : {"/p", "/q"}) (void)file::make_directories(trees + tree);
  }
  open();
}

void Driver::open() {
  open_.clear();
  held_.clear();
  forest_.reset();
  auto opened = open_forest(base_ + "/trees", base_ + "/hidden", options_);
  if (!opened) {
    fmt::print(stderr, "open: {}\n", opened.error().message);
    std::abort();
  }
  forest_ = std::move(*opened);
  for (const TreeInfo& tree : forest_->family()) {
    for (const SnapshotInfo& state : tree.snapshots) {
      if (!state.hidden && !state.label.empty() && state.label[0] >= '0' && state.label[0] <= '9') {
        states_[std::stoul(state.label)] = state.id;
      }
    }
  }
}

Result<TreeNodeRef> Driver::find(const Path& path) {
  TreeNodeRef node = forest_->root();
  for (const std::string& name : path) node = TRY(forest_->lookup(*node, name)).node;
  return node;
}

std::string Driver::apply(const Operation& operation, World&) {
  const auto act = [&]() -> Status {
    switch (operation.kind) {
      case Kind::create:
      case Kind::mkdir:
      case Kind::symlink:
      case Kind::fifo:
      case Kind::link:
      case Kind::unlink:
      case Kind::rmdir:
      case Kind::rename:
      case Kind::exchange:
        return change_entry(operation);
      case Kind::write:
      case Kind::truncate:
      case Kind::cut:
      case Kind::chmod:
      case Kind::utimens:
      case Kind::set_xattr:
      case Kind::remove_xattr:
        return change_file(operation);
      case Kind::open:
      case Kind::write_open:
      case Kind::close_open:
        return change_open(operation);
      default:
        return change_tree(operation);
    }
  };
  const Status done = act();
  if (done.has_value() != operation.stale) return "";
  return done ? "succeeded" : done.error().message;
}

Status Driver::change_entry(const Operation& o) {
  const Path above(o.path.begin(), o.path.end() - 1);
  const auto parent = TRY(find(above));
  const std::string& name = o.path.back();
  if (o.kind == Kind::create) {
    TRY(forest_->create(*parent, name, O_RDWR | O_EXCL, 0644, kMyself));
  } else if (o.kind == Kind::mkdir) {
    TRY(forest_->make_directory(*parent, name, 0755, kMyself));
  } else if (o.kind == Kind::symlink) {
    TRY(forest_->make_link(*parent, name, o.text, kMyself));
  } else if (o.kind == Kind::fifo) {
    TRY(forest_->make_node(*parent, name, S_IFIFO | 0644, 0, kMyself));
  } else if (o.kind == Kind::unlink) {
    return forest_->unlink(*parent, name, kMyself);
  } else if (o.kind == Kind::rmdir) {
    return forest_->remove_directory(*parent, name, kMyself);
  } else {
    const auto to = TRY(find(Path(o.other.begin(), o.other.end() - 1)));
    const std::string& new_name = o.other.back();
    if (o.kind == Kind::link) {
      TRY(forest_->link(*TRY(find(o.path)), *to, new_name, kMyself));
      return ok();
    }
    const unsigned flags = o.kind == Kind::exchange ? RENAME_EXCHANGE : 0;
    return forest_->rename(*parent, name, *to, new_name, flags, kMyself);
  }
  return ok();
}

Status Driver::change_file(const Operation& o) {
  const auto node = TRY(find(o.path));
  SetAttributes wanted;
  if (o.kind == Kind::write) {
    const auto file = TRY(forest_->open(*node, O_WRONLY, kMyself));
    return write_at(*forest_, *file, o.text, o.number);
  }
  if (o.kind == Kind::cut) {
    TRY(forest_->open(*node, O_WRONLY | O_TRUNC, kMyself));
    return ok();
  }
  if (o.kind == Kind::set_xattr) {
    return forest_->set_xattr(*node, o.text, std::to_string(o.number), 0, kMyself);
  }
  if (o.kind == Kind::remove_xattr) return forest_->remove_xattr(*node, o.text, kMyself);
  if (o.kind == Kind::truncate) {
    wanted.which = SetAttributes::size;
    wanted.values.st_size = static_cast<off_t>(o.number);
  } else if (o.kind == Kind::chmod) {
    wanted.which = SetAttributes::mode;
    wanted.values.st_mode = static_cast<mode_t>(o.number);
  } else {
    wanted.which = SetAttributes::mtime;
    wanted.values.st_mtim = {static_cast<time_t>(o.number), 5};
  }
  TRY(forest_->set_attributes(*node, nullptr, wanted, kMyself));
  return ok();
}

Status Driver::change_open(const Operation& o) {
  if (o.kind == Kind::close_open) {
    open_.erase(o.index);
    return ok();
  }
  if (o.kind == Kind::write_open) return write_at(*forest_, *open_.at(o.index), o.text, o.number);
  open_[o.index] =
      TRY(forest_->open(*TRY(find(o.path)), o.number == 1 ? O_RDWR : O_RDONLY, kMyself));
  return ok();
}

Status Driver::change_tree(const Operation& o) {
  const std::string& tree = o.path.front();
  if (o.kind == Kind::fork) {
    TRY(forest_->fork(tree, o.other.front()));
  } else if (o.kind == Kind::fork_state) {
    return forest_->fork(states_.at(o.number), o.other.front());
  } else if (o.kind == Kind::snapshot) {
    states_[o.number] = TRY(forest_->snapshot(tree, std::to_string(o.number)));
  } else if (o.kind == Kind::rollback) {
    const auto undo = TRY(forest_->rollback(tree, states_.at(o.number)));
    if (o.index != 0) states_[o.index] = undo;
    if (o.index == 0) return forest_->drop(undo);
  } else if (o.kind == Kind::drop_tree) {
    return forest_->drop(tree);
  } else if (o.kind == Kind::drop_state) {
    return forest_->drop(states_.at(o.number));
  } else if (o.kind == Kind::rename_tree) {
    const auto root = forest_->root();
    return forest_->rename(*root, tree, *root, o.other.front(), 0, kMyself);
  } else if (o.kind == Kind::collect) {
    (void)TRY(forest_->collect());
  } else if (o.kind == Kind::solidify) {
    return forest_->solidify(*TRY(find(o.path)), o.number == 1);
  } else {
    open();
  }
  return ok();
}

// --- comparing

std::string Driver::compare_times(const struct stat& attributes, ModelFile& file) {
  const ino_t low = attributes.st_ino & kLow;
  if (!file.seen) file.seen = ModelFile::Seen{.inode = low};
  ModelFile::Seen& seen = *file.seen;
  if (seen.inode != low) return fmt::format("inode {} became {}", seen.inode, low);
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
  if (attributes->st_ino >> 32 != above_) return fmt::format("tree {}", attributes->st_ino >> 32);
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
  if (std::string wrong = compare_file(node, file); !wrong.empty()) {
    return fmt::format("{}: {}", path, wrong);
  }
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
  return compare_tree(root, file, path);
}

std::string Driver::compare(World& world, bool times) {
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
