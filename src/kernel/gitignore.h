// SPDX-License-Identifier: MIT
// The rules of .gitignore files (gitignore(5)).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace agentfs {

// A stack of files, outermost directory first; a value. The last rule that matches decides.
class GitIgnore {
 public:
  // The rules of the .gitignore in `directory` ("" for the root of the search, else "a/b").
  void add(std::string_view directory, std::string_view text);
  // Whether the path, relative to the root, is ignored by its own rules; that a directory above
  // it is ignored is for the caller, who does not go into such a directory.
  bool is_ignored(std::string_view path, bool is_directory) const;

 private:
  struct Rule {
    std::string directory;  // of the file it stands in
    std::string pattern;
    bool is_negated = false;
    bool directories_only = false;
    bool is_anchored = false;  // has a '/' before its end: matches from its directory only
  };
  std::vector<Rule> rules_;
};

// A glob with *, ?, [a-z], [!x], \x; `*` and `?` do not match '/', "**" between slashes does.
bool glob_matches(std::string_view pattern, std::string_view path);

}  // namespace agentfs
