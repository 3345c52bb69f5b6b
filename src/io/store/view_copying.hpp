// A copy of the view on its way: its tables first, some pages at a time, then what lies in files
// beside it. One thread at a time.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "io/store/beside.hpp"
#include "io/store/sqlite_copy.hpp"
#include "io/store/view_bodies.hpp"
#include "taskd/port/view_copy.hpp"

namespace taskd::io {

class ViewCopying {
  public:
    // All of them outlive it; `path` is the view's.
    ViewCopying(SqliteDb& db, ViewBodies& bodies, port::Files& files, std::string path,
                std::string vfs)
        : db_{db}, bodies_{bodies}, files_{files}, path_{std::move(path)}, vfs_{std::move(vfs)} {}

    // As port::ViewCopy says; `mark` is where the view stands now.
    Result<std::optional<port::ViewCopied>> some(const std::string& path, const std::string& logs,
                                                 const port::ViewMark& mark);
    void drop();

  private:
    Result<void> copy_pages(const std::string& path, const std::string& logs,
                            const port::ViewMark& mark);

    SqliteDb& db_;
    ViewBodies& bodies_;
    port::Files& files_;
    const std::string path_;
    const std::string vfs_;
    std::unique_ptr<SqliteCopy> tables_;
    std::unique_ptr<BesideCopy> beside_;  // once the tables are whole; before them it goes
    port::ViewMark copied_;               // where they stand then
};

}  // namespace taskd::io
