// Entries on their way from files to what is valid: parsed, overridden, disabled, linked, checked.
// Each stage takes all entries and answers all, or the first fault with its place. Pure.
//
//     version: "1.0"
//     namespace: shop
//     entries:
//       - name: bill
//         kind: worker.http
//         url: http://billing:8080/charge
//         needs: [resize]            # in the same namespace, or "other:resize"
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/limits.hpp"
#include "taskd/base/result.hpp"
#include "taskd/model/document.hpp"
#include "taskd/model/entry.hpp"

namespace taskd::runtime {

// What a field of a kind may be.
enum class FieldType : std::uint8_t { text, number, boolean, texts, map, any };

struct FieldRule {
    std::string_view name;
    FieldType type = FieldType::text;
    bool required = false;
};

struct EntryKind {
    std::string_view name;
    std::vector<FieldRule> fields;  // beside those of every entry
    // What types alone do not say; may be empty.
    std::function<Result<void>(const Entry& entry)> check = {};
    // Fields that name a file, which becomes a part of the entry.
    std::vector<std::string_view> embeds = {};
};

// A file that an entry names: a text in UTF-8.
struct EmbeddedFile {
    std::string path;  // from the folder in which the entry's own file lies
    std::string text;
    std::string sha256;  // 64 digits of base 16
};
// What a path stands for, seen from the file of `place` ("entries/shop.yaml:4:5"): itself, or all
// files below a folder.
using ReadEmbedded = std::function<Result<std::vector<EmbeddedFile>>(const std::string& place,
                                                                     const std::string& path)>;
// The text of a file that is embedded in the entry; nullptr when there is none of that path.
const std::string* embedded_text(const Entry& entry, std::string_view path);

// Those that every entry may have: meta (a map of whatever), needs (entries), embed (files), and
// embedded, which the stage of that name makes of it.
std::span<const FieldRule> common_fields();
bool is_common_field(std::string_view name);

// config_invalid: no such form, another version, a name that stands twice or is none.
Result<std::vector<Entry>> parse_entries(const Document& document);

// "shop:bill:options.timeout=30s": the last part is a value as YAML has it, or a text.
struct Override {
    std::string id;
    std::vector<std::string> path;
    Value value;
};
Result<Override> parse_override(std::string_view text);  // bad_usage

// Of one registry: config_invalid. As many as a dispatcher takes schedules; all are read at once.
inline constexpr std::size_t entries_max = limits::schedules_max;

struct StageSettings {
    std::vector<Override> overrides;    // later ones go over earlier ones
    std::vector<std::string> disabled;  // ids; "*" stands for any characters
    ReadEmbedded read_embedded = {};    // none: of entries that are whole already
    std::function<std::string(std::string_view text)> sha256 = {};  // of those
};

// The stages in their order: override, disable, link, embed, validation.
// override    config_invalid when there is no such entry, or no map where the path leads
// disable     takes out what a pattern matches, and what has `disabled: true` in its meta
// link        makes relative names in `needs` whole; dependency_missing, dependency_cycle
// embed       takes the files in that `embed` and fields of the kind name, with their digests:
//             config_invalid when one is missing, no text, or too large
// validation  config_invalid for unknown kinds and fields, wrong types, what is missing
Result<std::vector<Entry>> run_stages(std::vector<Entry> entries, const StageSettings& settings,
                                      std::span<const EntryKind> kinds);

// Whether `text` matches: "*" any characters, all else itself.
bool matches_glob(std::string_view pattern, std::string_view text);

}  // namespace taskd::runtime
