// One stream's file: frames of what was appended, each with its place in the stream and a checksum,
// so that a torn tail is found and gaps are told. src/io/store/README.md has the bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "taskd/port/files.hpp"
#include "taskd/port/task_logs.hpp"

namespace taskd::io {

class TaskLogFile {
  public:
    static constexpr std::size_t header_bytes = 20;

    // Reads the file to its last whole frame; what lies behind is torn and is not read again.
    static Result<std::unique_ptr<TaskLogFile>> open(port::Files& files, const std::string& path,
                                                     port::OpenMode mode);

    std::uint64_t end() const { return end_; }  // of the stream
    std::uint64_t file_bytes() const { return file_end_; }

    // `at` is not before end(). After an error the file is to be opened anew.
    Result<void> append(std::uint64_t at, std::string_view bytes);
    Result<port::LogPart> read(std::uint64_t from, std::size_t bytes_max);
    Result<void> sync() { return file_->sync(); }

  private:
    struct Frame {
        std::uint64_t at = 0;  // in the stream
        std::string_view bytes;
    };
    // Where frames begin, one now and then: a read need not begin at the first.
    struct Mark {
        std::uint64_t at = 0;
        std::uint64_t place = 0;  // in the file
    };

    explicit TaskLogFile(std::unique_ptr<port::File> file) : file_{std::move(file)} {}
    Result<void> recover();
    void note(std::uint64_t at, std::size_t bytes);
    // The frame that `raw` begins with; nothing when it is cut short or damaged.
    static bool next_frame(std::string_view raw, Frame& frame);

    std::unique_ptr<port::File> file_;
    std::uint64_t end_ = 0;
    std::uint64_t file_end_ = 0;
    bool torn_ = false;  // bytes lie behind the last frame
    std::vector<Mark> marks_;
};

}  // namespace taskd::io
