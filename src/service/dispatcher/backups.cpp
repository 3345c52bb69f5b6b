#include "taskd/service/backups.hpp"

#include <algorithm>

#include "taskd/protocol/json.hpp"

namespace taskd::service {
namespace {

constexpr std::string_view unfinished = ".part";

bool is_backup(std::string_view name) {
    return !name.starts_with('.') && name.find(unfinished) == std::string_view::npos;
}

// Of backups only; none when there is no folder yet.
Result<std::vector<std::string>> names_in(port::Files& files, const std::string& dir) {
    auto names = files.list(dir);
    if (!names && names.error().code == ErrorCode::file_missing) return std::vector<std::string>{};
    if (names) std::erase_if(*names, [](const std::string& name) { return !is_backup(name); });
    return names;
}

Result<std::uint64_t> size_of(port::Files& files, const std::string& path) {
    const auto file = files.open(path, port::OpenMode::read);
    if (!file) return std::unexpected{file.error()};
    return (*file)->size();
}

// From here on it has its name, and keeps it.
Result<std::uint64_t> finish(port::Files& files, const std::string& dir, const std::string& part,
                             const std::string& path) {
    const auto file = files.open(part, port::OpenMode::read_write);
    if (!file) return std::unexpected{file.error()};
    auto done = (*file)->sync();
    if (done) done = files.rename(part, path);
    if (!done) return std::unexpected{done.error()};
    done = files.sync_dir(dir);
    if (done) return (*file)->size();
    static_cast<void>(files.remove(path));  // what is told as not made must not stand there
    return std::unexpected{done.error()};
}

struct Asked {
    std::string name;
    std::string store_id;  // empty: whichever it is
    bool logs = true;
};

Result<Asked> read_body(const std::string& body, WallTime now) {
    std::string time = to_rfc3339(now);
    std::erase_if(time, [](char c) { return c == '-' || c == ':'; });
    Asked asked{"taskd-" + time.substr(0, time.find('.')) + "Z", {}, true};
    if (body.empty()) return asked;
    if (auto checked = protocol::check_json(body); !checked) return fail(std::move(checked));
    const auto fields = protocol::split_object(body);
    if (!fields) return std::unexpected{fields.error()};
    for (const auto& [key, raw] : *fields) {
        if (key == "logs") {
            const auto logs = protocol::read_boolean(raw, key);
            if (!logs) return std::unexpected{logs.error()};
            asked.logs = *logs;
            continue;
        }
        if (key != "name" && key != "store_id") return fail(ErrorCode::unknown_field, key);
        auto text = protocol::read_string(raw, key);
        if (!text) return std::unexpected{text.error()};
        if (key == "name" && (!is_instance_name(*text) || !is_backup(*text)))
            return fail(ErrorCode::invalid_field, "name: 1 to 64 of A-Z a-z 0-9 . _ -");
        (key == "name" ? asked.name : asked.store_id) = std::move(*text);
    }
    return asked;
}

// What is kept free for tasks that end is not for backups.
Result<void> check_space(port::Files& files, const std::string& dir, std::uint64_t needed) {
    const auto space = files.space(dir);
    if (!space || space->free_bytes >= needed) return {};
    return fail(ErrorCode::disk_full, "a backup leaves the disk's reserve alone");
}

}  // namespace

struct Backups::Run {
    std::string name;
    std::string part;
    std::string logs;  // their folder, if they are wanted
    Call call;
    Result<std::optional<port::ViewCopied>> copied = std::nullopt;
    Result<std::uint64_t> bytes = 0;
    std::uint64_t steps = 0;
};

namespace {

// What an earlier try left goes.
Result<void> make_room(port::Files& files, const std::string& dir, const std::string& name,
                       const std::string& part) {
    if (auto made = files.make_dir(dir); !made) return made;
    const auto names = names_in(files, dir);
    if (!names) return std::unexpected{names.error()};
    if (std::ranges::count(*names, name) > 0) return fail(ErrorCode::backup_exists, name);
    if (names->size() >= limits::backups_max)
        return fail(ErrorCode::too_many_backups, std::to_string(limits::backups_max));
    return files.remove(part);
}

}  // namespace

Backups::Backups(BackupSettings settings, port::Files& files, port::ViewCopy& copies,
                 const DiskGuard& disk, Core& core, port::Clock& clock, port::Log& log)
    : settings_{std::move(settings)},
      files_{files},
      copies_{copies},
      disk_{disk},
      core_{core},
      clock_{clock},
      log_{log} {}

Backups::~Backups() = default;

void Backups::start() {
    core_.ask_view(
        [&files = files_, dir = settings_.dir](port::View&) {
            const auto names = files.list(dir);
            if (!names) return;
            for (const std::string& name : *names)
                if (name.find(unfinished) != std::string::npos)
                    static_cast<void>(files.remove(dir + "/" + name));
        },
        [] {});
}

void Backups::add_routes(HttpFront& front) {
    front.add({"POST", "/v1/backups", {}, [this](Call&& call) { post(std::move(call)); }});
    front.add({"GET", "/v1/backups", {}, [this](Call&& call) { list(std::move(call)); }});
}

void Backups::post(Call call) {
    auto asked = read_body(call.request.body, clock_.wall());
    if (!asked) return call.answer(asked.error());
    if (!asked->store_id.empty() && asked->store_id != settings_.store_id)
        return call.answer(Error{ErrorCode::store_mismatch, "this is store " + settings_.store_id});
    if (run_) return call.answer(Error{ErrorCode::backup_running, run_->name});
    begin(std::move(asked->name), asked->logs, std::move(call));
}

// What was durable when it was asked for is in the view before the copy begins.
void Backups::begin(std::string name, bool logs, Call call) {
    auto run = std::make_shared<Run>();
    run->name = std::move(name);
    run->part = path_of(run->name + std::string{unfinished});
    if (logs) run->logs = settings_.logs;
    run->call = std::move(call);
    run->bytes = fail(ErrorCode::disk_full, "the view has no room");
    run_ = run;
    core_.when_viewed(
        [&files = files_, settings = settings_, reserve = disk_.reserve(), run](port::View&) {
            auto room = make_room(files, settings.dir, run->name, run->part);
            // Of what stands in the log a part stands in the file already.
            const std::uint64_t bytes = size_of(files, settings.view).value_or(0) +
                                        size_of(files, settings.view + "-wal").value_or(0);
            if (room) room = check_space(files, settings.dir, reserve + bytes);
            if (room)
                run->bytes = 0;
            else
                run->bytes = std::unexpected{room.error()};
        },
        [this, run] { run->bytes ? go_on(run) : end(run); });
}

void Backups::go_on(const std::shared_ptr<Run>& run) {
    core_.ask_view(
        [&files = files_, &copies = copies_, dir = settings_.dir, path = path_of(run->name),
         reserve = disk_.reserve(), run](port::View&) {
            ++run->steps;
            const auto room = check_space(files, dir, reserve);
            run->copied =
                room ? copies.copy_some(run->part, run->logs) : std::unexpected{room.error()};
            if (run->copied && *run->copied) run->bytes = finish(files, dir, run->part, path);
            if (run->copied && run->bytes) return;
            copies.drop_copy();
            static_cast<void>(files.remove(run->part));
        },
        [this, run] {
            const bool more = run->copied && !*run->copied;
            more ? go_on(run) : end(run);
        });
}

void Backups::end(const std::shared_ptr<Run>& run) {
    run_.reset();
    const Error* error = !run->copied ? &run->copied.error() : nullptr;
    if (!run->bytes) error = &run->bytes.error();
    if (error != nullptr) {
        log_.warn("no backup was made", {{"name", run->name}, {"error", error->to_string()}});
        return run->call.answer(*error);
    }
    const std::uint64_t sequence = (*run->copied)->mark.sequence.value;
    const std::uint64_t log_bytes = (*run->copied)->log_bytes;
    log_.info("backup made", {{"name", run->name},
                              {"sequence", std::to_string(sequence)},
                              {"bytes", std::to_string(*run->bytes)},
                              {"log_bytes", std::to_string(log_bytes)},
                              {"steps", std::to_string(run->steps)}});
    std::string body;
    protocol::JsonWriter{body}
        .begin_object()
        .field("name", run->name)
        .field("file", path_of(run->name))
        .field("store_id", settings_.store_id)
        .field("sequence", sequence)
        .field("bytes", *run->bytes)
        .field("log_bytes", log_bytes)
        .end_object();
    run->call.answer(201, std::move(body));
}

void Backups::list(Call call) {
    struct Listed {
        Result<void> done{};
        std::string body;
    };
    auto listed = std::make_shared<Listed>();
    core_.ask_view(
        [&files = files_, dir = settings_.dir, listed](port::View&) {
            const auto names = names_in(files, dir);
            if (!names) {
                listed->done = std::unexpected{names.error()};
                return;
            }
            protocol::JsonWriter json{listed->body};
            json.begin_object().key("backups").begin_array();
            for (const std::string& name : *names) {
                const auto bytes = size_of(files, dir + "/" + name);
                if (bytes)  // else it was taken away just now
                    json.begin_object().field("name", name).field("bytes", *bytes).end_object();
            }
            json.end_array().end_object();
        },
        [listed, shared = std::make_shared<Call>(std::move(call))] {
            if (!listed->done) return shared->answer(listed->done.error());
            shared->answer(200, std::move(listed->body));
        });
}

}  // namespace taskd::service
