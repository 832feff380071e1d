// SPDX-License-Identifier: MIT
// sys.*: control files and documents.
#include "base/hash.h"
#include "base/text.h"
#include "kernel/configuration.h"
#include "kernel/error_log.h"
#include "kernel/kinds.h"
#include "kernel/paths.h"
#include "kernel/syscalls/fs.h"
#include "kernel/syscalls/values.h"

namespace agentfs::sys {

void run(Kernel& kernel, const Caller& caller, const Ctl& args,
         const Completion<std::string>& done) {
  if (args.line.find('\0') != std::string::npos || !text::is_utf8(args.line)) {
    done.complete(fail(EINVAL, "{}: the line is no text ({}); text in UTF-8 would do", args.path,
                       text::shown(args.line)));
    return;
  }
  const std::string path = paths::normalise(args.path, values::cwd(kernel, caller));
  kernel.paths().command(caller, path, args.line, done);
}

Status run(Kernel& kernel, const Caller& caller, const SaveDocument& args) {
  TRY(kernel.configuration().check(args.path, args.text));
  // The row before the effect: a document that is in force without one would have no author.
  json::Value data;
  data.set("path", args.path).set("bytes", args.text.size()).set("hash", blake2b(args.text));
  TRY(kernel.commit(caller, std::string(kind::kDocumentSave), std::move(data)));
  TRY(kernel.configuration().save(args.path, args.text));
  if (args.path == "agentfs.toml") kernel.settings_changed();
  const std::string doubt = kernel.configuration().doubt(args.path);
  if (!doubt.empty()) {
    kernel.errors().add(caller.process, "/etc/" + args.path, Error{ENOENT, doubt});
  }
  return ok();
}

Status run(Kernel& kernel, const Caller& caller, const RemoveDocument& args) {
  TRY(kernel.configuration().text(args.path));
  json::Value data;
  data.set("path", args.path);
  TRY(kernel.commit(caller, std::string(kind::kDocumentRemove), std::move(data)));
  TRY(kernel.configuration().remove(args.path));
  if (args.path == "agentfs.toml") kernel.settings_changed();
  return ok();
}

}  // namespace agentfs::sys
