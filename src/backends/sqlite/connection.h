// SPDX-License-Identifier: MIT
// SQLite's handles as values that close themselves, and its results as ours.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"

namespace agentfs::sqlite {

// A prepared statement. Owned by who prepared it; must go before its Connection. Threads: one.
class Statement {
 public:
  Statement() = default;

  // What is bound must live until the next reset(); places count from 1.
  Status bind(int place, std::string_view text);
  Status bind(int place, std::int64_t number);
  // True while there is a row. After the last row, or an error, the statement is ready again.
  Result<bool> step();
  // Runs a statement that gives no rows.
  Status run();
  void reset();

  std::string_view text(int column) const;  // until the next step
  std::int64_t number(int column) const;

 private:
  friend class Connection;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { ::sqlite3_finalize(statement); }
  };
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  std::unexpected<Error> failure() const;

  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// An open database file. Threads: one.
class Connection {
 public:
  Connection() = default;
  static Result<Connection> open(const std::string& path);

  Result<Statement> prepare(std::string_view sql) const;
  // Runs statements that need nothing bound and whose rows are of no interest.
  Status run(const std::string& sql) const;
  Result<std::int64_t> number(std::string_view sql) const;  // first column of the first row
  bool in_transaction() const { return ::sqlite3_get_autocommit(database_.get()) == 0; }

 private:
  struct Close {
    void operator()(sqlite3* database) const { ::sqlite3_close_v2(database); }
  };
  std::unique_ptr<sqlite3, Close> database_;
};

// Begins at once as a writer; what was not committed is undone at the end of the scope.
class Transaction {
 public:
  explicit Transaction(const Connection& connection) : connection_(connection) {}
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();
  Status begin();
  Status commit();

 private:
  const Connection& connection_;
};

// The error that SQLite has just reported for a database.
std::unexpected<Error> failure_of(sqlite3* database);

}  // namespace agentfs::sqlite
