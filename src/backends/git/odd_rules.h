// SPDX-License-Identifier: MIT
// Attributes that libgit2 (1.5) reads otherwise than git's program.
#pragma once

#include <string_view>

namespace agentfs::git {

// Of the files of rules on the way down to a directory. By such rules
// libgit2 would take CRs out of files that are no text: below them files stay as they lie.
class OddRules {
 public:
  // These and the .gitattributes of a directory, which may not be there; one that cannot be read is
  // odd.
  OddRules in(int directory) const;
  // A text of rules, as of .git/info/attributes.
  void read(std::string_view text);
  bool any() const { return any_; }

 private:
  bool any_ = false;
};

}  // namespace agentfs::git
