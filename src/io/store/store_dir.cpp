#include "taskd/io/store_dir.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include <charconv>

namespace taskd::io {
namespace {

constexpr std::uint64_t store_format = 1;
constexpr std::size_t id_digits = 16;
constexpr std::size_t description_bytes_max = 4'096;

// One small file, whole or not at all.
Result<void> write_atomically(port::Files& files, const std::string& dir, const std::string& path,
                              const std::string& bytes) {
    const std::string fresh = path + ".tmp";
    const auto file = files.open(fresh, port::OpenMode::create);
    if (!file) return std::unexpected{file.error()};
    auto done = (*file)->truncate(0);
    if (done) done = (*file)->write(0, bytes);
    if (done) done = (*file)->sync();
    if (done) done = files.rename(fresh, path);
    if (done) done = files.sync_dir(dir);
    return done;
}

Result<std::string> read_description(port::Files& files, const std::string& path) {
    const auto file = files.open(path, port::OpenMode::read);
    if (!file) return std::unexpected{file.error()};
    std::string bytes(description_bytes_max, '\0');
    const auto count = (*file)->read(0, bytes);
    if (!count) return std::unexpected{count.error()};
    bytes.resize(*count);
    return bytes;
}

Result<std::uint64_t> parse_id(std::string_view text, const std::string& path) {
    std::uint64_t id = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), id, 16);
    if (text.size() != id_digits || error != std::errc{} || stop != text.data() + text.size())
        return fail(ErrorCode::store_damaged, path + ": store_id");
    return id;
}

Result<std::uint64_t> parse_description(const std::string& bytes, const std::string& path) {
    simdjson::dom::parser parser;
    simdjson::dom::object object;
    std::uint64_t format = 0;
    std::string_view id;
    if (parser.parse(bytes).get(object) != simdjson::SUCCESS)
        return fail(ErrorCode::store_damaged, path + ": not a JSON object");
    if (object["format"].get(format) != simdjson::SUCCESS || format == 0)
        return fail(ErrorCode::store_damaged, path + ": format");
    if (format > store_format)
        return fail(ErrorCode::store_too_new, fmt::format("{}: format {}", path, format));
    if (object["store_id"].get(id) != simdjson::SUCCESS)
        return fail(ErrorCode::store_damaged, path + ": store_id");
    return parse_id(id, path);
}

// Whether something stands here that only a described store can have left.
Result<bool> is_used(port::Files& files, const StorePaths& paths) {
    const auto journal = files.list(paths.journal);
    if (journal && !journal->empty()) return true;
    if (!journal && journal.error().code != ErrorCode::file_missing)
        return std::unexpected{journal.error()};
    const auto view = files.open(paths.view, port::OpenMode::read);
    if (!view && view.error().code != ErrorCode::file_missing) return std::unexpected{view.error()};
    return view.has_value();
}

Result<std::uint64_t> describe(port::Files& files, const std::string& dir, const StorePaths& paths,
                               Random& random) {
    const auto used = is_used(files, paths);
    if (!used) return std::unexpected{used.error()};
    if (*used) return fail(ErrorCode::store_damaged, paths.description + " is missing");
    const std::uint64_t id = random.next();
    const auto written = describe_store(files, dir, id);
    if (!written) return std::unexpected{written.error()};
    return id;
}

Result<bool> is_there(port::Files& files, const std::string& path) {
    const auto file = files.open(path, port::OpenMode::read);
    if (!file && file.error().code != ErrorCode::file_missing) return std::unexpected{file.error()};
    return file.has_value();
}

Result<void> refuse_unfinished(port::Files& files, const StorePaths& paths) {
    const auto unfinished = is_there(files, paths.restoring);
    if (!unfinished) return std::unexpected{unfinished.error()};
    if (*unfinished) return fail(ErrorCode::restore_unfinished, paths.restoring);
    return {};
}

}  // namespace

Result<std::uint64_t> read_store_id(port::Files& files, const std::string& dir) {
    const StorePaths paths{dir};
    const auto bytes = read_description(files, paths.description);
    if (!bytes) return std::unexpected{bytes.error()};
    return parse_description(*bytes, paths.description);
}

Result<bool> is_used_store(port::Files& files, const StorePaths& paths) {
    const auto described = is_there(files, paths.description);
    if (!described || *described) return described;
    return is_used(files, paths);
}

Result<void> describe_store(port::Files& files, const std::string& dir, std::uint64_t id) {
    return write_atomically(
        files, dir, StorePaths{dir}.description,
        fmt::format("{{\"format\":{},\"store_id\":\"{:016x}\"}}\n", store_format, id));
}

Result<Store> open_existing_store(port::Files& files, const std::string& dir) {
    const StorePaths paths{dir};
    if (auto whole = refuse_unfinished(files, paths); !whole) return std::unexpected{whole.error()};
    // Read first: what is no store gets no lock file.
    const auto bytes = read_description(files, paths.description);
    if (!bytes) return std::unexpected{bytes.error()};
    auto lock = files.lock(paths.lock);
    if (!lock) return std::unexpected{lock.error()};
    const auto id = parse_description(*bytes, paths.description);
    if (!id) return std::unexpected{id.error()};
    return Store{std::move(*lock), *id, paths, store_format};
}

Result<Store> open_store(port::Files& files, const std::string& dir, Random& random) {
    if (auto made = files.make_dir(dir); !made) return std::unexpected{made.error()};
    const StorePaths paths{dir};
    auto lock = files.lock(paths.lock);
    if (!lock) return std::unexpected{lock.error()};
    if (auto whole = refuse_unfinished(files, paths); !whole) return std::unexpected{whole.error()};
    const auto bytes = read_description(files, paths.description);
    if (!bytes && bytes.error().code != ErrorCode::file_missing)
        return std::unexpected{bytes.error()};
    const auto id =
        bytes ? parse_description(*bytes, paths.description) : describe(files, dir, paths, random);
    if (!id) return std::unexpected{id.error()};
    return Store{std::move(*lock), *id, paths, store_format};
}

}  // namespace taskd::io
