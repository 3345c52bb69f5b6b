// What lies in files beside a view, as rows of a table in its backup: long bodies, what tasks
// print, and the endpoints that people declared. A row has the file's place below the data
// directory
// (`blobs/xx/NAME`, `logs/xx/NAME`, `endpoints.json`) and its bytes. A backup without such files
// has no such table.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "io/store/body_files.hpp"
#include "io/store/sqlite_db.hpp"

namespace taskd::io {

inline constexpr std::string_view bodies_folder = "blobs";
inline constexpr std::string_view logs_folder = "logs";
inline constexpr std::string_view endpoints_file = "endpoints.json";

// Where a body stands in the table.
std::string body_row_name(std::string_view name);

struct BesideSource {
    std::string bodies;     // folder
    std::string logs;       // folder; empty: not taken along
    std::string endpoints;  // file, if it is there
};

// Puts into a copy of a view's tables what its rows name, what its tasks printed and the endpoints,
// a part at a time. The bodies must stay where they are meanwhile; the others may go.
class BesideCopy {
  public:
    BesideCopy(port::Files& files, BesideSource source);

    Result<void> begin(SqliteDb& to);
    // True when all is in; a step ends with the file that reaches `bytes_max`.
    Result<bool> step(std::size_t bytes_max);
    std::uint64_t log_bytes() const { return log_bytes_; }

  private:
    Result<bool> next();
    Result<bool> next(SqliteStatement& names);
    Result<bool> next_log();
    Result<void> put_log(const std::string& folder, const std::string& name);
    Result<std::uint64_t> put_file(const std::string& name, const std::string& path);
    Result<void> put(const std::string& name, std::string_view bytes);
    Result<bool> run_step(std::size_t bytes_max);

    port::Files& files_;
    BesideSource source_;
    BodyFiles bodies_;
    SqliteDb* to_ = nullptr;
    SqliteStatement payloads_, results_, task_, has_, put_;
    std::string after_;  // the name that was last
    int part_ = 0;       // payloads, results, logs, endpoints, done
    std::size_t folder_ = 0;
    std::vector<std::string> log_names_;  // of that folder, to come
    std::uint64_t bytes_ = 0;
    std::uint64_t log_bytes_ = 0;
};

// Whether the backup has such a table.
Result<bool> has_beside(SqliteDb& backup);
// Every row, by name; the bytes until the next one.
Result<void> each_beside(
    SqliteDb& backup,
    const std::function<Result<void>(const std::string& name, std::string_view bytes)>& take);
// A name that such a row may have.
bool is_beside_name(std::string_view name);

// A new view's file with all tables of a backup but that one.
Result<void> copy_tables(const std::string& from, const std::string& to, const std::string& vfs);
// The files themselves, below a data directory, durable.
Result<void> write_beside(port::Files& files, const std::string& from, const std::string& dir,
                          const std::string& vfs);
// Every file of those below a data directory goes.
Result<void> clear_beside(port::Files& files, const std::string& dir);

}  // namespace taskd::io
