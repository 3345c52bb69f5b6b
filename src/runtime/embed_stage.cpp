// The stage that takes the files which entries name into the entries.
#include <algorithm>

#include "runtime/embed_stage.hpp"
#include "taskd/base/limits.hpp"

namespace taskd::runtime {
namespace {

constexpr std::string_view embed = "embed";
constexpr std::string_view embedded = "embedded";

std::unexpected<Error> wrong(const Entry& entry, std::string_view field, const std::string& what) {
    const auto found = entry.field_places.find(field);
    const std::string& place = found == entry.field_places.end() ? entry.place : found->second;
    return fail(ErrorCode::config_invalid,
                (place.empty() ? "" : place + ": ") + entry.id + ": " + what);
}

// What may be named: files below the entry's own.
bool is_inside(std::string_view path) {
    if (path.empty() || path.front() == '/') return false;
    for (std::size_t begin = 0; begin <= path.size();) {
        const std::size_t end = std::min(path.find('/', begin), path.size());
        if (path.substr(begin, end - begin) == "..") return false;
        begin = end + 1;
    }
    return true;
}

struct Named {
    std::string_view field;
    std::string path;
};

Result<std::vector<Named>> names_of(const Entry& entry, const EntryKind* kind) {
    std::vector<Named> names;
    if (const Value* list = entry.find(embed))
        for (const Value& each : list->items)
            names.push_back({embed, each.text});
    if (kind != nullptr)
        for (const std::string_view field : kind->embeds)
            if (const Value* path = entry.find(field)) names.push_back({field, path->text});
    for (const Named& each : names)
        if (!is_inside(each.path))
            return wrong(entry, each.field,
                         "'" + each.path + "' is no path of a file below the entry's own");
    return names;
}

Value map_value() {
    Value value;
    value.kind = ValueKind::map;
    return value;
}

Result<Value> read_all(const Entry& entry, const std::vector<Named>& names,
                       const ReadEmbedded& read) {
    Value files = map_value();
    std::size_t bytes = 0;
    for (const Named& each : names) {
        auto found = read(entry.place, each.path);
        if (!found) return wrong(entry, each.field, found.error().to_string());
        for (EmbeddedFile& file : *found) {
            if (std::ranges::find(files.fields, file.path, &ValueField::name) != files.fields.end())
                continue;
            bytes += file.text.size();
            if (bytes > limits::embed_bytes_max || files.fields.size() == limits::embed_files_max)
                return wrong(entry, each.field,
                             "an entry embeds up to " + std::to_string(limits::embed_files_max) +
                                 " files of " + std::to_string(limits::embed_bytes_max) +
                                 " bytes together");
            Value one = map_value();
            one.fields = {{"sha256", Value::of_text(std::move(file.sha256))},
                          {"text", Value::of_text(std::move(file.text))}};
            files.fields.push_back({std::move(file.path), std::move(one)});
        }
    }
    std::ranges::sort(files.fields, {}, &ValueField::name);
    return files;
}

// Of an entry that did not come from a file, and so has passed this stage elsewhere.
Result<void> check_embedded(const Entry& entry, const Value& files,
                            const std::function<std::string(std::string_view)>& sha256) {
    std::size_t bytes = 0;
    for (const ValueField& file : files.fields) {
        const auto field = [&](std::string_view name) -> const Value* {
            const auto found = std::ranges::find(file.value.fields, name, &ValueField::name);
            return found == file.value.fields.end() ? nullptr : &found->value;
        };
        const Value* text = field("text");
        const Value* digest = field("sha256");
        if (text == nullptr || digest == nullptr || !sha256 || sha256(text->text) != digest->text)
            return wrong(entry, embedded, file.name + " is not what its digest says");
        bytes += text->text.size();
    }
    if (files.fields.size() <= limits::embed_files_max && bytes <= limits::embed_bytes_max)
        return {};
    return wrong(entry, embedded, "more is embedded than may be");
}

}  // namespace

Result<void> embed_files(std::vector<Entry>& entries, const StageSettings& settings,
                         std::span<const EntryKind> kinds) {
    for (Entry& entry : entries) {
        const auto kind = std::ranges::find(kinds, entry.kind, &EntryKind::name);
        const auto names = names_of(entry, kind == kinds.end() ? nullptr : &*kind);
        if (!names) return std::unexpected{names.error()};
        const Value* there = entry.find(embedded);
        if (there != nullptr && !entry.place.empty())
            return wrong(entry, embedded, "what is embedded is not written by hand: say embed");
        if (there != nullptr) {
            if (auto done = check_embedded(entry, *there, settings.sha256); !done) return done;
            continue;
        }
        if (names->empty()) continue;
        if (!settings.read_embedded) return wrong(entry, embedded, "its files are not embedded");
        auto files = read_all(entry, *names, settings.read_embedded);
        if (!files) return std::unexpected{files.error()};
        entry.body.fields.push_back({std::string{embedded}, std::move(*files)});
    }
    return {};
}

const std::string* embedded_text(const Entry& entry, std::string_view path) {
    const Value* files = entry.find(embedded);
    if (files == nullptr) return nullptr;
    const auto file = std::ranges::find(files->fields, path, &ValueField::name);
    if (file == files->fields.end()) return nullptr;
    const auto text = std::ranges::find(file->value.fields, "text", &ValueField::name);
    return text == file->value.fields.end() ? nullptr : &text->value.text;
}

}  // namespace taskd::runtime
