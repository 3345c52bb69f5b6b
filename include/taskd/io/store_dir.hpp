// A data directory: who holds it and which store it is.
//   DIR/lock        held by the one process that uses it
//   DIR/store.json  format and id, written once
//   DIR/journal/    segments
//   DIR/view.db     the view, with its log beside it
//   DIR/blobs/      long payloads and results, by their SHA-256
//   DIR/logs/       what tasks print
//   DIR/endpoints.json  routes that people declared
//   DIR/own_events.json how far groups are told what the dispatcher tells
//   DIR/backups/    made while it is used
//   DIR/restoring   stands while it is made of a backup; what is beside it is not whole
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "taskd/base/random.hpp"
#include "taskd/port/files.hpp"

namespace taskd::io {

struct StorePaths {
    explicit StorePaths(const std::string& dir)
        : lock{dir + "/lock"},
          description{dir + "/store.json"},
          journal{dir + "/journal"},
          view{dir + "/view.db"},
          bodies{dir + "/blobs"},
          logs{dir + "/logs"},
          endpoints{dir + "/endpoints.json"},
          own_events{dir + "/own_events.json"},
          backups{dir + "/backups"},
          restoring{dir + "/restoring"} {}

    std::string lock;
    std::string description;
    std::string journal;
    std::string view;
    std::string bodies;
    std::string logs;
    std::string endpoints;
    std::string own_events;
    std::string backups;
    std::string restoring;
};

// Held for as long as the store is used.
struct Store {
    std::unique_ptr<port::FileLock> lock;
    std::uint64_t id = 0;  // journal and view carry it, so that a file of another store is refused
    StorePaths paths;
    std::uint64_t format = 1;  // of the directory
};

// Makes the directory and its description if there is nothing yet; `random` gives a new store its
// id. store_locked, store_too_new, store_damaged (also when there is a journal or a view without a
// description), restore_unfinished, disk_full or io_failed.
Result<Store> open_store(port::Files& files, const std::string& dir, Random& random);

// Takes a store that is there; file_missing when none is.
Result<Store> open_existing_store(port::Files& files, const std::string& dir);

// The id of a store, in use or not.
Result<std::uint64_t> read_store_id(port::Files& files, const std::string& dir);

// Whether something stands there that only a store can have left, or the description of one.
Result<bool> is_used_store(port::Files& files, const StorePaths& paths);
// Writes the description of a store that has this id.
Result<void> describe_store(port::Files& files, const std::string& dir, std::uint64_t id);

}  // namespace taskd::io
