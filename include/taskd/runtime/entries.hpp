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
};

// Those that every entry may have: meta (a map of whatever) and needs (entries).
std::span<const FieldRule> common_fields();

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
};

// The stages in their order: override, disable, link, validation.
// override    config_invalid when there is no such entry, or no map where the path leads
// disable     takes out what a pattern matches, and what has `disabled: true` in its meta
// link        makes relative names in `needs` whole; dependency_missing, dependency_cycle
// validation  config_invalid for unknown kinds and fields, wrong types, what is missing
Result<std::vector<Entry>> run_stages(std::vector<Entry> entries, const StageSettings& settings,
                                      std::span<const EntryKind> kinds);

// Whether `text` matches: "*" any characters, all else itself.
bool matches_glob(std::string_view pattern, std::string_view text);

}  // namespace taskd::runtime
