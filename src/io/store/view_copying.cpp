#include "io/store/view_copying.hpp"

#include "taskd/io/store_backup.hpp"

namespace taskd::io {
namespace {

// At a time: 2 MiB, so that nobody waits for long.
constexpr int step_pages = 512;
constexpr std::size_t step_bytes = 2 * limits::mebibyte;

}  // namespace

Result<std::optional<port::ViewCopied>> ViewCopying::some(const std::string& path,
                                                          const std::string& logs,
                                                          const port::ViewMark& mark) {
    if (tables_ && tables_->path() != path) drop();
    if (!beside_) {
        if (auto done = copy_pages(path, logs, mark); !done) {
            drop();
            return std::unexpected{done.error()};
        }
        return std::nullopt;
    }
    const auto whole = beside_->step(step_bytes);
    if (whole && !*whole) return std::nullopt;
    const port::ViewCopied copied{copied_, beside_->log_bytes()};
    drop();
    if (!whole) return std::unexpected{whole.error()};
    return copied;
}

// No file that the copied rows name goes from their end on until it is copied too.
Result<void> ViewCopying::copy_pages(const std::string& path, const std::string& logs,
                                     const port::ViewMark& mark) {
    if (!tables_) {
        auto begun = SqliteCopy::begin(db_, path, vfs_);
        if (!begun) return std::unexpected{begun.error()};
        tables_ = std::move(*begun);
    }
    const auto whole = tables_->step(step_pages);
    if (!whole) return std::unexpected{whole.error()};
    if (!*whole) return {};
    bodies_.hold();
    copied_ = mark;
    beside_ = std::make_unique<BesideCopy>(
        files_, BesideSource{bodies_.dir(), logs, StorePaths{parent_folder(path_)}.endpoints});
    return beside_->begin(tables_->db());
}

void ViewCopying::drop() {
    beside_.reset();
    tables_.reset();
    bodies_.release();
}

}  // namespace taskd::io
