// SPDX-License-Identifier: MIT
#include "fs/vfs/trees_directory.h"

#include "fs/vfs/data_file.h"

namespace agentfs::vfs {

Result<Attributes> TreesDirectory::attributes(Request& request) {
  const ObjectRef object = TRY(place_.held(request.caller()));
  const auto names = place_.type->list(place_.row, object, request.caller());
  Attributes answer{make_stat(context(), path(), S_IFDIR | 0555U, context().started), kShortly};
  answer.attributes.st_nlink = 2 + (names ? names->size() : 0);
  return answer;
}

Result<Found> TreesDirectory::find_entry(Request& request, const std::string& name) {
  const ObjectRef object = TRY(place_.held(request.caller()));
  const TreeView view = TRY(place_.type->view(place_.row, object, request.caller(), name));
  const auto root = context().data_roots.find(view.root);
  if (root == context().data_roots.end()) {
    return fail(ENOENT, "{}: no store is attached", child_path(path(), name));
  }
  auto& tree = dynamic_cast<DataNode&>(*root->second).tree();
  const NodeRef node = tree.ensure_directory(view.node, Region::plain);
  const Attributes attributes = TRY(node->attributes(request));
  return Found{node, attributes.attributes, {0, attributes.validity}};
}

Result<std::vector<DirectoryItem>> TreesDirectory::entries(Request& request) {
  const ObjectRef object = TRY(place_.held(request.caller()));
  std::vector<DirectoryItem> items;
  for (std::string& name : TRY(place_.type->list(place_.row, object, request.caller()))) {
    const std::uint64_t inode = inode_number(child_path(path(), name));
    items.push_back({std::move(name), inode, S_IFDIR});
  }
  return items;
}

void TreesDirectory::receive(Request&, const std::string& name, std::string,
                             Completion<Nothing> done) {
  done.complete(fail(EACCES, "{}: cannot be written", child_path(path(), name)));
}

}  // namespace agentfs::vfs
