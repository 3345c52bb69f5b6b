// What a running role does on SIGHUP (reads its settings again, takes those that may change while
// it runs, says which others need a restart) and on SIGUSR1 (opens its log file again).
#pragma once

#include <functional>

#include "options.hpp"
#include "taskd/io/log.hpp"
#include "taskd/port/main_loop.hpp"

namespace taskd::roles {

// The rows of `own`, then those of the log and of the settings file.
std::vector<OptionRow> with_log_rows(std::vector<OptionRow> own);

// What stands in each line, and which file of --log-dir is meant.
struct LogName {
    std::string role;
    std::string instance;  // empty: the role and some random digits
    std::string file;      // tells processes of one role apart; may be empty
};
Result<std::unique_ptr<io::ProcessLog>> make_role_log(const Options& options, LogName name);

class SettingsReload {
  public:
    // `log` outlives it.
    SettingsReload(const Options& options, io::ProcessLog& log);

    // Both signals from now on. When it came because the terminal is gone, the role ends as on
    // SIGTERM: nobody is left who could end it.
    Result<void> listen(port::MainLoop& loop, std::function<void(int)> pass_on = {});

    // Old settings stay when the new ones are not valid.
    void reload();
    void reopen();

  private:
    void take(const Options& fresh);

    Options started_;  // what the role was started with
    Options current_;  // what it has taken since
    io::ProcessLog& log_;
};

}  // namespace taskd::roles
