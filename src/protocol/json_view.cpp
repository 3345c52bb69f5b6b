#include "taskd/protocol/json_view.hpp"

#include <charconv>

#include "taskd/protocol/json.hpp"

namespace taskd::protocol {

JsonView JsonView::operator[](std::string_view field) const {
    if (empty() || kind_of(raw_) != JsonKind::object) return {};
    const auto fields = split_object(raw_);
    if (!fields) return {};
    for (const auto& [name, raw] : *fields)
        if (name == field) return JsonView{raw};
    return {};
}

std::vector<JsonView> JsonView::items() const {
    if (empty() || kind_of(raw_) != JsonKind::array) return {};
    const auto elements = split_array(raw_);
    if (!elements) return {};
    std::vector<JsonView> views;
    for (const std::string_view element : *elements)
        views.emplace_back(element);
    return views;
}

std::string JsonView::text() const {
    if (empty()) return {};
    if (kind_of(raw_) != JsonKind::string) return std::string{raw_};
    return read_string(raw_, "value").value_or("");
}

std::optional<std::uint64_t> JsonView::number() const {
    std::uint64_t value = 0;
    const char* last = raw_.data() + raw_.size();
    const auto [end, error] = std::from_chars(raw_.data(), last, value);
    if (raw_.empty() || error != std::errc{} || end != last) return std::nullopt;
    return value;
}

}  // namespace taskd::protocol
