// Modules that answer within the call: documents, texts, digests, the log.
#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <unicode/bytestream.h>
#include <unicode/casemap.h>

#include <algorithm>
#include <array>

#include "lua/arguments.hpp"
#include "lua/pattern.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/lua/modules.hpp"
#include "taskd/protocol/json.hpp"

namespace taskd::lua {
namespace {

constexpr std::size_t pieces_max = 200'000;  // of one text; each takes more than it holds

using Values = std::vector<Value>;
using TextFunction = Result<Value> (*)(const std::string& text, const Values& arguments);

// The first argument is a text.
DirectFunction on_text(TextFunction function) {
    return [function](const Values& arguments) -> Result<Value> {
        const auto text = Arguments{arguments}.text(0, "text");
        if (!text) return std::unexpected{text.error()};
        return function(*text, arguments);
    };
}

// ---- documents ----------------------------------------------------------------------------------

Module format_module(const runtime::Transcoder& formats, const char* name) {
    return {name,
            {{"encode", DirectFunction{[&formats, name](const Values& arguments) -> Result<Value> {
                  auto text = formats.write(name, Arguments{arguments}.take(0));
                  if (!text) return std::unexpected{text.error()};
                  return Value::of_text(std::move(*text));
              }}},
             {"decode", DirectFunction{[&formats, name](const Values& arguments) -> Result<Value> {
                  const auto text = Arguments{arguments}.text(0, "text");
                  if (!text) return std::unexpected{text.error()};
                  // What is read takes many times as much as its text.
                  if (text->size() > limits::program_text_bytes_max)
                      return fail(ErrorCode::not_convertible, "a text of more than 4 MiB");
                  return formats.read(name, *text);
              }}}}};
}

// ---- texts --------------------------------------------------------------------------------------

using CaseMap = void (*)(std::uint32_t options, icu::StringPiece text, icu::ByteSink& out,
                         UErrorCode& error);

Result<Value> map_case(const std::string& text, CaseMap map) {
    std::string mapped;
    icu::StringByteSink<std::string> out{&mapped};
    UErrorCode error = U_ZERO_ERROR;
    map(0, icu::StringPiece{text.data(), static_cast<std::int32_t>(text.size())}, out, error);
    if (U_FAILURE(error)) return fail(ErrorCode::not_convertible, u_errorName(error));
    return Value::of_text(std::move(mapped));
}

// In no particular language.
Result<Value> upper(const std::string& text, const Values&) {
    return map_case(text, [](std::uint32_t options, icu::StringPiece from, icu::ByteSink& out,
                             UErrorCode& error) {
        icu::CaseMap::utf8ToUpper("", options, from, out, nullptr, error);
    });
}
Result<Value> lower(const std::string& text, const Values&) {
    return map_case(text, [](std::uint32_t options, icu::StringPiece from, icu::ByteSink& out,
                             UErrorCode& error) {
        icu::CaseMap::utf8ToLower("", options, from, out, nullptr, error);
    });
}
Result<Value> fold(const std::string& text, const Values&) {
    return map_case(text, [](std::uint32_t options, icu::StringPiece from, icu::ByteSink& out,
                             UErrorCode& error) {
        icu::CaseMap::utf8Fold(options, from, out, nullptr, error);
    });
}

Result<Value> length(const std::string& text, const Values&) {  // in code points
    const auto count = std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; });
    return Value::of_number(std::to_string(count));
}

Result<Value> trim(const std::string& text, const Values&) {
    constexpr std::string_view blanks = " \t\r\n\v\f";
    const auto first = text.find_first_not_of(blanks);
    if (first == std::string::npos) return Value::of_text({});
    return Value::of_text(text.substr(first, text.find_last_not_of(blanks) - first + 1));
}

Result<Value> split_at(const std::string& text, const std::string& separator) {
    Value list;
    list.kind = ValueKind::list;
    std::size_t from = 0;
    for (auto at = find_text(text, separator); at != std::string_view::npos;
         at = find_text(text, separator, from)) {
        if (list.items.size() == pieces_max)
            return fail(ErrorCode::not_convertible, "a text of more than 200,000 pieces");
        list.items.push_back(Value::of_text(text.substr(from, at - from)));
        from = at + separator.size();
    }
    list.items.push_back(Value::of_text(text.substr(from)));
    return list;
}

Result<Value> split(const std::string& text, const Values& arguments) {
    const auto separator = Arguments{arguments}.text(1, "separator");
    if (!separator) return std::unexpected{separator.error()};
    if (separator->empty()) return fail(ErrorCode::invalid_field, "an empty separator");
    return split_at(text, *separator);
}

Result<Value> lines(const std::string& text, const Values&) {
    auto list = split_at(text, "\n");
    if (!list) return list;
    for (Value& line : list->items)
        if (line.text.ends_with('\r')) line.text.pop_back();
    if (list->items.back().text.empty()) list->items.pop_back();
    return list;
}

Module text_module() {
    return {"text",
            {{"upper", on_text(upper)},
             {"lower", on_text(lower)},
             {"fold", on_text(fold)},
             {"length", on_text(length)},
             {"trim", on_text(trim)},
             {"split", on_text(split)},
             {"lines", on_text(lines)}}};
}

// ---- digests: bytes are no texts, so what comes out is hex or base64 ----------------------------

std::string to_hex(std::span<const unsigned char> bytes) {
    std::string hex;
    for (const unsigned char byte : bytes)
        hex += fmt::format("{:02x}", byte);
    return hex;
}

Result<Value> digest(const std::string& text, const EVP_MD* algorithm) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> sum{};
    unsigned size = 0;
    if (EVP_Digest(text.data(), text.size(), sum.data(), &size, algorithm, nullptr) != 1)
        return fail(ErrorCode::internal, "no digest");
    return Value::of_text(to_hex({sum.data(), size}));
}

Result<Value> sha256(const std::string& text, const Values&) {
    return digest(text, EVP_sha256());
}
Result<Value> sha1(const std::string& text, const Values&) {
    return digest(text, EVP_sha1());
}

// (key, text)
Result<Value> hmac_sha256(const std::string& key, const Values& arguments) {
    const auto text = Arguments{arguments}.text(1, "text");
    if (!text) return std::unexpected{text.error()};
    std::array<unsigned char, EVP_MAX_MD_SIZE> sum{};
    unsigned size = 0;
    if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
             reinterpret_cast<const unsigned char*>(text->data()), text->size(), sum.data(),
             &size) == nullptr)
        return fail(ErrorCode::internal, "no digest");
    return Value::of_text(to_hex({sum.data(), size}));
}

Result<Value> to_base64(const std::string& text, const Values&) {
    std::string out((text.size() + 2) / 3 * 4 + 1, '\0');
    const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                     reinterpret_cast<const unsigned char*>(text.data()),
                                     static_cast<int>(text.size()));
    out.resize(static_cast<std::size_t>(size));
    return Value::of_text(std::move(out));
}

Result<Value> from_base64(const std::string& text, const Values&) {
    std::string out(text.size() / 4 * 3 + 3, '\0');
    const int size = text.size() % 4 != 0
                         ? -1
                         : EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                           reinterpret_cast<const unsigned char*>(text.data()),
                                           static_cast<int>(text.size()));
    if (size < 0) return fail(ErrorCode::invalid_field, "the text is no base64");
    const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
    out.resize(static_cast<std::size_t>(size) - padding);
    if (!protocol::is_utf8(out))
        return fail(ErrorCode::not_convertible, "what the base64 holds is no text");
    return Value::of_text(std::move(out));
}

// (bytes) to hex
Result<Value> random(const Values& arguments) {
    const Value count = Arguments{arguments}.take(0);
    const int bytes = count.kind == ValueKind::number ? std::atoi(count.text.c_str()) : 16;
    std::array<unsigned char, 1024> made{};
    if (bytes < 1 || bytes > static_cast<int>(made.size()))
        return fail(ErrorCode::invalid_field, "1 to 1024 bytes at a time");
    if (RAND_bytes(made.data(), bytes) != 1) return fail(ErrorCode::internal, "no entropy");
    return Value::of_text(to_hex({made.data(), static_cast<std::size_t>(bytes)}));
}

Module crypto_module() {
    return {"crypto",
            {{"sha256", on_text(sha256)},
             {"sha1", on_text(sha1)},
             {"hmac_sha256", on_text(hmac_sha256)},
             {"to_base64", on_text(to_base64)},
             {"from_base64", on_text(from_base64)},
             {"random", DirectFunction{random}}}};
}

}  // namespace

std::vector<Module> plain_modules(const runtime::Transcoder& formats) {
    std::vector<Module> modules;
    for (const char* format : {"json", "yaml"})
        modules.push_back(format_module(formats, format));
    modules.push_back(text_module());
    modules.push_back(crypto_module());
    return modules;
}

Module log_module(port::Log& log) {
    Module module{"log", {}};
    const std::pair<const char*, port::LogLevel> levels[] = {{"debug", port::LogLevel::debug},
                                                             {"info", port::LogLevel::info},
                                                             {"warn", port::LogLevel::warn},
                                                             {"error", port::LogLevel::error}};
    for (const auto& [name, level] : levels)
        module.functions.push_back(
            {name, DirectFunction{[&log, level](const Values& arguments) -> Result<Value> {
                 const auto message = Arguments{arguments}.text(0, "message");
                 if (!message) return std::unexpected{message.error()};
                 std::string fields;
                 if (Arguments{arguments}.is_map(1))
                     for (const ValueField& field : arguments[1].fields)
                         fields += fmt::format("{}{}={}", fields.empty() ? "" : " ", field.name,
                                               field.value.text);
                 log.write(level, message->substr(0, limits::program_line_bytes_max),
                           {{"fields", fields.substr(0, limits::program_line_bytes_max)}});
                 return Value::of_boolean(true);
             }}});
    return module;
}

}  // namespace taskd::lua
