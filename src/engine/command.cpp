// Copies and moves of what goes into the engine and comes out, compiled here alone.
#include "taskd/engine/command.hpp"

namespace taskd::engine {

Command::Command() = default;
Command::Command(const Command& other) = default;
Command::Command(Command&& other) noexcept = default;
Command& Command::operator=(const Command& other) {
    return *this = Command(other);
}
Command& Command::operator=(Command&& other) noexcept = default;
Command::~Command() = default;

Note::Note() = default;
Note::Note(const Note& other) = default;
Note::Note(Note&& other) noexcept = default;
Note& Note::operator=(const Note& other) {
    return *this = Note(other);
}
Note& Note::operator=(Note&& other) noexcept = default;
Note::~Note() = default;

Output::Output() = default;
Output::Output(const Output& other) = default;
Output::Output(Output&& other) noexcept = default;
Output& Output::operator=(const Output& other) {
    return *this = Output(other);
}
Output& Output::operator=(Output&& other) noexcept = default;
Output::~Output() = default;

Decision::Decision() = default;
Decision::Decision(const Decision& other) = default;
Decision::Decision(Decision&& other) noexcept = default;
Decision& Decision::operator=(const Decision& other) = default;
Decision& Decision::operator=(Decision&& other) noexcept = default;
Decision::~Decision() = default;

}  // namespace taskd::engine

template class std::vector<taskd::engine::Note>;
template class std::vector<taskd::engine::Output>;
