// SPDX-License-Identifier: MIT
#include "backends/trees/forest_file.h"

#include "base/copy.h"

namespace agentfs::trees {

ForestFile::ForestFile(std::shared_ptr<NodeBook> book, ForestNodeRef node, HeldFile file,
                       std::optional<struct stat> lent)
    : book_(std::move(book)), node_(std::move(node)), file_(file.file), lent_(lent) {
  book_->add(*node_, std::move(file));
}

ForestFile::~ForestFile() { book_->remove(*node_, *file_); }

// Once the file has bytes of its own, the descriptor leads there: they were looked at when they
// were copied, and so was what was read before.
Status ForestFile::check_read() const {
  struct stat now{};
  if (!lent_) return ok();
  if (::fstat(descriptor(), &now) != 0) return fail_errno("a lent file");
  const bool is_own = now.st_dev != lent_->st_dev || now.st_ino != lent_->st_ino;
  if (is_own || is_as_it_was(*lent_, now)) return ok();
  return fail(EBUSY,
              "a file of an imported directory has changed there since it was opened, and what was "
              "read may be a mixture; `rebase` in .agentfs/ctl takes what it is now");
}

}  // namespace agentfs::trees
