#include "taskd/runtime/transcoder.hpp"

#include <algorithm>

#include "taskd/base/assert.hpp"

namespace taskd::runtime {

void Transcoder::add(Format format) {
    TASKD_ASSERT(!find(format.name));
    formats_.push_back(std::move(format));
}

Result<const Format*> Transcoder::find(std::string_view name) const {
    const auto found = std::ranges::find(formats_, name, &Format::name);
    if (found != formats_.end()) return &*found;
    std::string known;
    for (const Format& each : formats_)
        known += (known.empty() ? "" : ", ") + each.name;
    return fail(ErrorCode::not_convertible,
                "'" + std::string{name} + "' is no format known here: " + known);
}

Result<Value> Transcoder::read(std::string_view format, const std::string& text) const {
    const auto found = find(format);
    if (!found) return std::unexpected{found.error()};
    return (*found)->read(text);
}

Result<std::string> Transcoder::write(std::string_view format, const Value& value) const {
    const auto found = find(format);
    if (!found) return std::unexpected{found.error()};
    return (*found)->write(value);
}

Result<std::string> Transcoder::convert(const std::string& text, std::string_view from,
                                        std::string_view to) const {
    const auto value = read(from, text);
    if (!value) return std::unexpected{value.error()};
    return write(to, *value);
}

std::vector<std::string> Transcoder::formats() const {
    std::vector<std::string> names;
    for (const Format& each : formats_)
        names.push_back(each.name);
    return names;
}

}  // namespace taskd::runtime
