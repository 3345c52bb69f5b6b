// Turns payloads from one format into another, by way of a Value. A format is a name and two
// functions; which there are is the wiring's to say. Pure.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/result.hpp"
#include "taskd/model/value.hpp"

namespace taskd::runtime {

struct Format {
    std::string name;  // "json"
    std::function<Result<Value>(const std::string& text)> read;
    std::function<Result<std::string>(const Value& value)> write;
};

class Transcoder {
  public:
    void add(Format format);  // names are distinct

    // not_convertible when there is no such format; else what the format says.
    Result<Value> read(std::string_view format, const std::string& text) const;
    Result<std::string> write(std::string_view format, const Value& value) const;
    Result<std::string> convert(const std::string& text, std::string_view from,
                                std::string_view to) const;
    std::vector<std::string> formats() const;  // in the order they were added

  private:
    Result<const Format*> find(std::string_view name) const;

    std::vector<Format> formats_;
};

}  // namespace taskd::runtime
