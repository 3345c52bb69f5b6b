#include "program_source.hpp"

#include "entry_kinds.hpp"
#include "program_entries.hpp"
#include "taskd/io/sqlite_history.hpp"

namespace taskd::roles {

Result<std::vector<Entry>> ProgramSource::read() {
    if (!is_registry()) {
        const auto entries = read_entries(settings_.files, settings_.stages);
        if (!entries) return entries;
        return entries_of_host(*entries);
    }
    const auto number = newest();
    if (!number) return std::unexpected{number.error()};
    if (*number == 0) {
        version_ = 0;
        return std::vector<Entry>{};
    }
    const auto entries = history_->read(*number);
    if (!entries) return entries;
    version_ = *number;  // what could not be read is read again
    return entries_of_host(*entries);
}

Result<bool> ProgramSource::moved() {
    if (!is_registry()) return false;
    const auto number = newest();
    if (!number) return std::unexpected{number.error()};
    return *number != version_;
}

Result<std::uint64_t> ProgramSource::newest() {
    if (!history_) {
        auto opened = io::read_history(settings_.registry + "/registry.db");
        if (!opened && opened.error().code == ErrorCode::file_missing) return 0;
        if (!opened) return std::unexpected{opened.error()};
        history_ = std::move(*opened);
    }
    return history_->newest();
}

}  // namespace taskd::roles
