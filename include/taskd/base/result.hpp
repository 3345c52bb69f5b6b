// Result<T>: the world's faults are values. Our own faults abort (assert.hpp).
#pragma once

#include <expected>
#include <string>
#include <utility>

#include "taskd/base/error.hpp"

namespace taskd {

template <class T>
using Result = std::expected<T, Error>;

// `return fail(ErrorCode::io_failed, path);`
[[nodiscard]] inline std::unexpected<Error> fail(ErrorCode code, std::string detail = {}) {
    return std::unexpected<Error>{Error{code, std::move(detail)}};
}

// Hands the error of one result on as the error of another.
template <class T>
[[nodiscard]] std::unexpected<Error> fail(Result<T>&& result) {
    return std::unexpected<Error>{std::move(result).error()};
}

}  // namespace taskd
