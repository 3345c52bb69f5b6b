// taskd backup and taskd restore: a store as one file, and a store made of it.
#include <fmt/format.h>

#include "client.hpp"
#include "key_file.hpp"
#include "stopped_store.hpp"
#include "taskd/io/clock.hpp"
#include "taskd/io/entropy.hpp"
#include "taskd/io/posix_files.hpp"
#include "taskd/io/private_files.hpp"
#include "taskd/io/store_backup.hpp"
#include "taskd/protocol/task_json.hpp"

namespace taskd::roles {
namespace {

constexpr Duration backup_takes = std::chrono::hours{1};
constexpr Duration retry_for = std::chrono::seconds{10};

// One backup on its way.
class Backup {
  public:
    explicit Backup(const Options& options)
        : options_{options}, files_{io::make_posix_files()}, clock_{io::make_system_clock()} {}

    // Of what tasks printed, in the backup.
    std::uint64_t log_bytes() const { return log_bytes_; }

    // Where it lies in the end.
    Result<std::string> run() {
        if (auto found = find_store(); !found) return std::unexpected{found.error()};
        if (auto named = name_target(); !named) return std::unexpected{named.error()};
        if (dir_.empty()) return ask_server();
        const auto store = io::open_existing_store(*files_, dir_);
        if (!store && store.error().code == ErrorCode::store_locked) return take_from_server();
        if (!store) return std::unexpected{store.error()};
        return copy_store(*store);
    }

  private:
    // The store itself, or the data directory of `taskd up` around it; none: the server's alone.
    Result<void> find_store() {
        if (!options_.given("data")) return {};
        const std::string& data = options_.text("data");
        for (const std::string& dir : {data, data + "/dispatcher"}) {
            const auto id = io::read_store_id(*files_, dir);
            if (!id && id.error().code == ErrorCode::file_missing) continue;
            if (!id) return std::unexpected{id.error()};
            dir_ = dir;
            store_id_ = protocol::write_session(SessionId{*id});
            return {};
        }
        return fail(ErrorCode::file_missing, data + " is no data directory of a dispatcher");
    }

    Result<void> name_target() {
        std::string time = to_rfc3339(clock_->wall());
        std::erase_if(time, [](char c) { return c == '-' || c == ':'; });
        name_ = fmt::format("taskd-{}Z-{:08x}", time.substr(0, time.find('.')),
                            io::random_seed() & 0xffffffff);
        to_ = options_.text("to");
        if (to_.empty()) return {};
        if (dir_.empty()) return fail(ErrorCode::bad_usage, "--to needs --data");
        if (files_->list(to_)) to_ += "/" + name_;
        const auto there = files_->open(to_, port::OpenMode::read);
        if (there) return fail(ErrorCode::backup_exists, to_);
        if (there.error().code != ErrorCode::file_missing) return std::unexpected{there.error()};
        return {};
    }

    // The answer is the whole story: the file lies with the server.
    Result<std::string> ask_server() {
        const auto answer = post();
        if (!answer) return std::unexpected{answer.error()};
        return JsonView{answer->body}["file"].text();
    }

    Result<std::string> take_from_server() {
        const auto answer = post();
        if (!answer) return std::unexpected{answer.error()};
        const std::string file = io::StorePaths{dir_}.backups + "/" + name_;
        if (to_.empty()) return file;
        if (auto moved = move(file); !moved) return std::unexpected{moved.error()};
        return to_;
    }

    // Within a disk a rename, else a copy that gets its name at the end.
    Result<void> move(const std::string& file) {
        if (files_->rename(file, to_)) return files_->sync_dir(io::parent_folder(to_));
        auto done = io::copy_file(*files_, file, part());
        if (done) done = name_part();
        if (done) return files_->remove(file);
        drop_part();
        return done;
    }

    Result<void> name_part() {
        if (auto done = files_->rename(part(), to_); !done) return done;
        auto done = files_->sync_dir(io::parent_folder(to_));
        if (!done) static_cast<void>(files_->remove(to_));
        return done;
    }

    // What is not whole is not left there, with what SQLite may have put beside it.
    void drop_part() {
        for (const char* beside : {"", "-journal", "-wal"})
            static_cast<void>(files_->remove(part() + beside));
    }

    Result<service::TaskClient::Answer> post() {
        auto server = find_server_of(options_, dir_);
        if (!server) return std::unexpected{server.error()};
        Client client{std::move(*server), retry_for};
        auto answer = client.api().ask("POST", "/v1/backups",
                                       fmt::format(R"({{"name":"{}","store_id":"{}","logs":{}}})",
                                                   name_, store_id_, with_logs()),
                                       backup_takes);
        if (answer)
            log_bytes_ = static_cast<std::uint64_t>(
                JsonView{answer->body}["log_bytes"].number().value_or(0));
        return answer;
    }

    std::string part() const { return to_ + ".part"; }
    bool with_logs() const { return !options_.toggle("without-logs"); }

    // Nobody uses the store: its view is copied, and the copy gets what the journal has beyond it.
    Result<std::string> copy_store(const io::Store& store) {
        if (to_.empty()) to_ = name_;
        if (auto done = files_->remove(part()); !done) return std::unexpected{done.error()};
        auto done = make_part(store);
        if (done) done = name_part();
        if (done) return to_;
        drop_part();
        return std::unexpected{done.error()};
    }

    Result<void> make_part(const io::Store& store) {
        auto stopped = copy_stopped(*files_, store, part(), clock_->wall());
        if (!stopped) return std::unexpected{stopped.error()};
        stopped->reset();
        const auto sealed = io::seal_backup(*files_, store, part(), with_logs());
        if (!sealed) return std::unexpected{sealed.error()};
        log_bytes_ = *sealed;
        return {};
    }

    const Options& options_;
    std::unique_ptr<port::Files> files_;
    std::unique_ptr<port::Clock> clock_;
    std::string dir_;
    std::string store_id_;
    std::string name_;
    std::string to_;
    std::uint64_t log_bytes_ = 0;
};

void tell(std::string_view what, const io::StoreReport& found) {
    say(fmt::format("{}: {} tasks, {} of them live, at sequence {}", what, found.tasks, found.live,
                    found.view_at.value));
}

int run_backup(const Options& options) {
    Backup backup{options};
    const auto made = backup.run();
    if (!made) return report(made.error());
    print_line(*made);
    say(fmt::format("{} bytes of it are what tasks printed", backup.log_bytes()));
    const auto files = io::make_posix_files();
    const auto found = io::check_backup(*files, *made);
    // One that lies with a server elsewhere cannot be looked at from here.
    if (!found && found.error().code == ErrorCode::file_missing && !options.given("data")) return 0;
    if (!found) return report(found.error());
    for (const Error& finding : found->findings)
        report(finding);
    if (!found->sound()) return 1;
    tell("sound", *found);
    return 0;
}

int run_restore(const Options& options) {
    for (const char* name : {"from", "data"})
        if (!options.given(name))
            return report({ErrorCode::bad_usage, fmt::format("--{} is needed", name)});
    const auto files = io::make_posix_files();
    Random random{io::random_seed()};
    const std::string& dir = options.text("data");
    const auto made = io::restore_store(*files, options.text("from"), dir, random);
    if (!made) return report(made.error());
    const auto found = io::check_store(*files, dir);
    if (!found) return report(found.error());
    for (const Error& finding : found->findings)
        report(finding);
    if (!found->sound()) return 1;
    print_line(dir);
    tell("restored", *found);
    return 0;
}

}  // namespace

const Command& backup_command() {
    static const Command command{
        {.name = "backup",
         .arguments = {},
         .summary = "copy a data directory into one file, running or not",
         .text = "All that was durable when it was asked for is in the file, and it is verified. A "
                 "running\ndispatcher makes it between its other work. What tasks had printed is "
                 "in it.",
         .options = {{.name = "data",
                      .value = "DIR",
                      .help = "the dispatcher's data directory, or that of 'taskd up'"},
                     {.name = "to",
                      .value = "FILE",
                      .help = "a new file, or a folder for one; else it stays in DIR/backups"},
                     {.name = "without-logs",
                      .kind = OptionKind::toggle,
                      .help = "leave out what tasks printed",
                      .from_environment = false},
                     {.name = "url",
                      .value = "URL",
                      .fallback = "http://127.0.0.1:4000",
                      .help = "of the dispatcher, if it runs"},
                     {.name = "key-file", .value = "FILE", .help = "the cluster key"}},
         .examples = {{"taskd backup --data /var/lib/taskd/dispatcher --to /srv/backups",
                       "prints the file's name"}}},
        run_backup};
    return command;
}

const Command& restore_command() {
    static const Command command{
        {.name = "restore",
         .arguments = {},
         .summary = "make a data directory of a backup",
         .text = "The directory must hold no data. It gets an id of its own: what workers still do "
                 "for the old one\ndoes not count.",
         .options = {{.name = "from", .value = "FILE", .help = "the backup"},
                     {.name = "data", .value = "DIR", .help = "the new data directory"}},
         .examples = {{"taskd restore --from nightly.backup --data /var/lib/taskd/dispatcher",
                       "then start the dispatcher on it"}}},
        run_restore};
    return command;
}

}  // namespace taskd::roles
