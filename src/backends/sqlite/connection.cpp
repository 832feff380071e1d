// SPDX-License-Identifier: MIT
#include "backends/sqlite/connection.h"

#include <fcntl.h>

#include "base/file.h"

namespace agentfs::sqlite {
namespace {

constexpr int kBusyMilliseconds = 5000;

int errno_of(int result, int system_error) {
  switch (result & 0xFF) {
    case SQLITE_FULL:
      return ENOSPC;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return EBADMSG;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return EBUSY;
    case SQLITE_READONLY:
      return EROFS;
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return EACCES;
    case SQLITE_NOMEM:
      return ENOMEM;
    case SQLITE_TOOBIG:
      return EMSGSIZE;
    case SQLITE_INTERRUPT:
      return EINTR;
    case SQLITE_CANTOPEN:
      return system_error != 0 ? system_error : EIO;
    case SQLITE_IOERR:
      if (result == SQLITE_IOERR_SHMSIZE) return ENOSPC;
      return system_error == ENOSPC || system_error == EDQUOT ? system_error : EIO;
    default:
      return EIO;
  }
}

}  // namespace

std::unexpected<Error> failure_of(sqlite3* database) {
  const char* const path = ::sqlite3_db_filename(database, "main");
  const int code = errno_of(::sqlite3_extended_errcode(database), ::sqlite3_system_errno(database));
  return fail(code, "{}: {}", path != nullptr && *path != '\0' ? path : "sqlite",
              code == ENOSPC ? "the disk is full" : ::sqlite3_errmsg(database));
}

std::unexpected<Error> Statement::failure() const {
  return failure_of(::sqlite3_db_handle(statement_.get()));
}

Status Statement::bind(int place, std::string_view text) {
  // A null pointer would bind NULL.
  const char* const bytes = text.empty() ? "" : text.data();
  if (::sqlite3_bind_text64(statement_.get(), place, bytes, text.size(), SQLITE_STATIC,
                            SQLITE_UTF8) != SQLITE_OK) {
    return failure();
  }
  return ok();
}

Status Statement::bind(int place, std::int64_t number) {
  if (::sqlite3_bind_int64(statement_.get(), place, number) != SQLITE_OK) return failure();
  return ok();
}

Result<bool> Statement::step() {
  const int result = ::sqlite3_step(statement_.get());
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) {
    reset();
    return false;
  }
  auto failed = failure();
  reset();
  return failed;
}

Status Statement::run() {
  const auto stepped = step();
  if (!stepped) return std::unexpected(stepped.error());
  reset();
  return ok();
}

void Statement::reset() {
  ::sqlite3_reset(statement_.get());
  ::sqlite3_clear_bindings(statement_.get());
}

std::string_view Statement::text(int column) const {
  const auto* bytes =
      reinterpret_cast<const char*>(::sqlite3_column_text(statement_.get(), column));
  const int size = ::sqlite3_column_bytes(statement_.get(), column);
  return bytes == nullptr ? std::string_view()
                          : std::string_view(bytes, static_cast<std::size_t>(size));
}

std::int64_t Statement::number(int column) const {
  return ::sqlite3_column_int64(statement_.get(), column);
}

Result<Connection> Connection::open(const std::string& path) {
  // Made by us, for its mode: what agents wrote is their owner's only. SQLite's own files beside it
  // take the same mode.
  const UniqueFd made(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!made) return fail_errno(path);
  Connection connection;
  sqlite3* database = nullptr;
  const int result = ::sqlite3_open_v2(path.c_str(), &database,
                                       SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  connection.database_.reset(database);
  if (database == nullptr) return fail(ENOMEM, "{}: no memory to open it", path);
  if (result != SQLITE_OK) return failure_of(database);
  ::sqlite3_busy_timeout(database, kBusyMilliseconds);
  // Its log stays, empty, when it is closed: a full disk may have no room for another.
  int stays = 1;
  ::sqlite3_file_control(database, "main", SQLITE_FCNTL_PERSIST_WAL, &stays);
  return connection;
}

Result<Statement> Connection::prepare(std::string_view sql) const {
  sqlite3_stmt* statement = nullptr;
  if (::sqlite3_prepare_v3(database_.get(), sql.data(), static_cast<int>(sql.size()),
                           SQLITE_PREPARE_PERSISTENT, &statement, nullptr) != SQLITE_OK) {
    return failure_of(database_.get());
  }
  return Statement(statement);
}

Status Connection::run(const std::string& sql) const {
  if (::sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    return failure_of(database_.get());
  }
  return ok();
}

Result<std::int64_t> Connection::number(std::string_view sql) const {
  Statement statement = TRY(prepare(sql));
  if (!TRY(statement.step())) return 0;
  return statement.number(0);
}

Transaction::~Transaction() {
  // Some errors (a full disk) have undone the transaction already.
  if (connection_.in_transaction()) (void)connection_.run("ROLLBACK");
}

Status Transaction::begin() { return connection_.run("BEGIN IMMEDIATE"); }

Status Transaction::commit() { return connection_.run("COMMIT"); }

}  // namespace agentfs::sqlite
