// Backups of a running dispatcher: its view copied a part at a time between its other work, into
// the data directory, where `taskd backup` takes it from. And what is said of them over HTTP.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "taskd/port/files.hpp"
#include "taskd/port/view_copy.hpp"
#include "taskd/service/core.hpp"
#include "taskd/service/disk_guard.hpp"
#include "taskd/service/http_front.hpp"

namespace taskd::service {

struct BackupSettings {
    std::string dir;       // of backups alone
    std::string view;      // the file that a backup will be about as long as, or longer
    std::string logs;      // the folder of what tasks print
    std::string store_id;  // told with each, so that nobody takes it for another's
};

class Backups {
  public:
    // `disk` tells how much of it is not for backups.
    Backups(BackupSettings settings, port::Files& files, port::ViewCopy& copies,
            const DiskGuard& disk, Core& core, port::Clock& clock, port::Log& log);
    ~Backups();

    void start();  // what an earlier life left unfinished goes
    void add_routes(HttpFront& front);

  private:
    struct Run;

    void post(Call call);
    void list(Call call);
    void begin(std::string name, bool logs, Call call);
    void go_on(const std::shared_ptr<Run>& run);
    void end(const std::shared_ptr<Run>& run);
    std::string path_of(const std::string& name) const { return settings_.dir + "/" + name; }

    BackupSettings settings_;
    port::Files& files_;
    port::ViewCopy& copies_;
    const DiskGuard& disk_;
    Core& core_;
    port::Clock& clock_;
    port::Log& log_;
    std::shared_ptr<Run> run_;
};

}  // namespace taskd::service
