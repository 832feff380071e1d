// SPDX-License-Identifier: MIT
// Files that are made without a name.
#include "base/text.h"
#include "fs/vfs/charge.h"
#include "fs/vfs/data_file.h"

namespace agentfs::vfs {

std::string DataNode::place() const {
  return nameless_ ? made_in_ : std::string(text::first_parts(path(), 2));
}

// The journal tells of it when it gets a name: until then it is nowhere in the tree.
Result<CreatedNode> DataNode::create_nameless(Request& request, int flags, mode_t mode) {
  Caller writer = TRY(request.writer());
  Charge charge(*tree_, &request);
  TRY(charge.make(*this, 0));
  auto created = TRY(tree_->store().create_nameless(*file_, flags, mode, request.tree()));
  const auto node = tree_->ensure(created.entry, region_);
  node->made_in_ = place();
  node->nameless_ = true;
  charge.made_nameless(*this, node);
  return opened({.node = node,
                 .attributes = created.entry.attributes,
                 .validity = node->validity(created.entry.attributes)},
                std::move(created.file), std::move(writer), flags, true);
}

}  // namespace agentfs::vfs
