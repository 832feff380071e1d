// SPDX-License-Identifier: MIT
// A forest over directories that remove themselves, and what its tests do all the time.
#pragma once

#include <memory>
#include <string>

#include "../trees/tree_fixture.h"
#include "backends/forest.h"

namespace agentfs::test {

class TestForest {
 public:
  explicit TestForest(ForestOptions options = {}) : options_(options) {
    std::filesystem::create_directory(base_.path("trees"));
    open();
  }
  void open() {
    forest_.reset();
    forest_ = must(open_forest(base_.path("trees"), base_.path("hidden"), options_));
  }
  Forest& operator*() { return *forest_; }
  Forest* operator->() { return forest_.get(); }
  std::string path(const std::string& below) const { return base_.path("trees/" + below); }
  // The room of a tree's records.
  std::string line(std::uint32_t number) const {
    return base_.path(fmt::format("hidden/lines/{}", number));
  }

  // By a path that begins with the tree.
  TreeNodeRef at(const std::string& path) {
    TreeNodeRef node = forest_->root();
    for (const auto& part : std::filesystem::path(path)) {
      node = must(forest_->lookup(*node, part)).node;
    }
    return node;
  }
  TreeNodeRef in(const TreeNodeRef& directory, const std::string& name) {
    return must(forest_->lookup(*directory, name)).node;
  }
  TreeNodeRef directory(const std::string& path) {
    const std::filesystem::path whole(path);
    return make_directory(*forest_, *parent(whole), whole.filename());
  }
  TreeNodeRef file(const std::string& path, const std::string& bytes) {
    const std::filesystem::path whole(path);
    return make_file(*forest_, *parent(whole), whole.filename(), bytes);
  }
  std::string read(const std::string& path) { return read_file(*forest_, *at(path)); }
  struct stat stat(const std::string& path) { return must(forest_->attributes(*at(path))); }

  int write(const TreeFile& file, const std::string& bytes, off_t offset = 0) {
    const auto writing = forest_->begin_write(file);
    if (!writing) return writing.error().code;
    return plain(::pwrite(file.descriptor(), bytes.data(), bytes.size(), offset));
  }
  void write(const std::string& path, const std::string& bytes) {
    const auto file = must(forest_->open(*at(path), O_WRONLY, kMyself));
    REQUIRE(write(*file, bytes) == 0);
  }
  std::string content(const TreeFile& file) {
    std::string bytes(4096, '\0');
    const ssize_t got = ::pread(file.descriptor(), bytes.data(), bytes.size(), 0);
    REQUIRE(got >= 0);
    bytes.resize(static_cast<std::size_t>(got));
    return bytes;
  }

 private:
  TreeNodeRef parent(const std::filesystem::path& whole) {
    return whole.has_parent_path() ? at(whole.parent_path()) : forest_->root();
  }

  TemporaryDirectory base_;
  const ForestOptions options_;
  std::unique_ptr<Forest> forest_;
};

}  // namespace agentfs::test
