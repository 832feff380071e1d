// SPDX-License-Identifier: MIT
// A directory of the host that is imported, for the tests of imports.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "backends/imports/imports.h"
#include "catch.h"
#include "support/must.h"
#include "support/test_kernel.h"

namespace agentfs::test {

namespace fs = std::filesystem;

inline std::string text_of(const std::string& path) { return must(file::read(path)); }

inline void put(const std::string& path, std::string_view text) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

// A directory with some files, imported once.
class Imported {
 public:
  Imported() {
    put(host + "/a", "the text of a\n");
    put(host + "/src/b", "b\n");
    put(host + "/src/deep/c", "c\n");
    fs::create_symlink("a", host + "/link");
    open();
    id = must(store->add(fs::canonical(host).native()));
    must(store->record(id, must(store->drift(id, true))));
  }
  void open() {
    store = must(open_imports(directory.path() + "/imports", directory.path() + "/trees", true));
  }

  std::vector<std::string> drifted() const {
    std::vector<std::string> paths;
    for (const HostDrift& one : must(store->drift(id, false))) paths.push_back(one.path);
    return paths;
  }
  // A file of ours that stands for the path.
  UniqueFd lent(const std::string& path) {
    const std::string name = directory.path() + "/ours" + std::to_string(++made_);
    UniqueFd fd(::open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    REQUIRE(fd);
    must(store->lend(id, path, fd.get()));
    return fd;
  }
  HostChange file(const std::string& path, const std::string& text) {
    const std::string name = directory.path() + "/new" + std::to_string(++made_);
    put(name, text);
    HostChange change{.path = path};
    change.to.mode = S_IFREG | 0640;
    change.to.size = static_cast<std::int64_t>(text.size());
    change.to.modified = 1'600'000'000'000'000'000;
    change.content = [name]() -> Result<UniqueFd> {
      return UniqueFd(::open(name.c_str(), O_RDONLY | O_CLOEXEC));
    };
    return change;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& one : fs::recursive_directory_iterator(host)) {
      all.push_back(one.path().lexically_relative(host));
    }
    std::ranges::sort(all);
    return all;
  }

  TemporaryDirectory directory;
  const std::string host = directory.path() + "/host";
  std::unique_ptr<ImportStore> store;
  std::uint32_t id = 0;

 private:
  int made_ = 0;
};

using Paths = std::vector<std::string>;

}  // namespace agentfs::test
