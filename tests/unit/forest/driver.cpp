// SPDX-License-Identifier: MIT
#include "driver.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace agentfs::test {
namespace {

using Kind = Operation::Kind;
const TreeCaller kMyself{};

Status write_at(Forest& forest, const TreeFile& file, const std::string& text, std::size_t at) {
  const Writing writing = TRY(forest.begin_write(file));
  const ssize_t put = ::pwrite(file.descriptor(), text.data(), text.size(), static_cast<off_t>(at));
  if (put != static_cast<ssize_t>(text.size())) return fail_errno("pwrite");
  return ok();
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
  forest_->follow_rollbacks();
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
  Path above;
  for (const std::string& name : path) {
    node = TRY(forest_->lookup(*node, name)).node;
    above.push_back(name);
    if (node->type() == S_IFDIR) held_[above] = node;
  }
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

// Every other file leaves the forest by another way: it gets a name outside, as the past gives it.
Status Driver::remove(const TreeNode& parent, const std::string& name) {
  const TreeEntry entry = TRY(forest_->lookup(parent, name));
  const bool is_plain = S_ISREG(entry.attributes.st_mode) && entry.attributes.st_nlink == 1;
  if (!is_plain || ++removals_ % 2 == 0) return forest_->unlink(parent, name, kMyself);
  const std::string outside = base_ + "/outside";
  std::filesystem::remove(fmt::format("{}/{}", outside, removals_));  // of a driver before a crash
  std::filesystem::create_directory(outside);
  const UniqueFd directory(::open(outside.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  return forest_->expel(parent, name, directory.get(), fmt::format("{}", removals_), kMyself);
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
    return remove(*parent, name);
  } else if (o.kind == Kind::rmdir) {
    return forest_->remove_directory(*parent, name, kMyself);
  } else {
    const auto to = TRY(find(Path(o.other.begin(), o.other.end() - 1)));
    const std::string& new_name = o.other.back();
    if (o.kind == Kind::link) {
      TRY(forest_->link(*TRY(find(o.path)), *to, new_name, kMyself));
      return ok();
    }
    held_.clear();  // by paths of before
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
    TRY(follow(tree));
    if (o.index != 0) states_[o.index] = undo;
    if (o.index == 0) return forest_->drop(undo);
  } else if (o.kind == Kind::drop_tree) {
    return forest_->drop(tree, [] { return ok(); });
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

// Each second one is used before anybody comes by its path.
Status Driver::follow(const std::string& tree) {
  const auto left = forest_->followers(*TRY(find({tree}))).directories;
  const auto held = held_;
  bool is_used_first = false;
  for (const auto& [path, before] : held) {
    if (path.front() != tree || std::ranges::find(left, before) == left.end()) continue;
    is_used_first = !is_used_first;
    if (is_used_first) static_cast<void>(forest_->lookup(*before, "any"));
    const auto now = find(path);
    const bool is_same = now && (*now)->type() == S_IFDIR && (*now)->inode() == before->inode();
    if (is_same && *now != before) {
      return fail(EIO, "{}: who worked there does not any more", fmt::join(path, "/"));
    }
  }
  return ok();
}

}  // namespace agentfs::test
