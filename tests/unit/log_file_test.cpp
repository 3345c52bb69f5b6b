// The rotated log file: bounds, names, what another program may do to it, and faults of the disk.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "catch.hpp"
#include "taskd/io/log.hpp"

using namespace taskd;
using Catch::Matchers::Contains;

namespace {

// A folder of the test's own.
struct Folder {
    Folder() {
        char name[] = "/tmp/taskd-log.XXXXXX";
        REQUIRE(mkdtemp(name) != nullptr);
        path = name;
    }
    ~Folder() { std::filesystem::remove_all(path); }
    std::string operator/(const std::string& name) const { return (path / name).string(); }
    std::string read(const std::string& name) const {
        std::ifstream file{path / name};
        std::ostringstream text;
        text << file.rdbuf();
        return text.str();
    }
    std::vector<std::string> names() const {
        std::vector<std::string> all;
        for (const auto& entry : std::filesystem::directory_iterator{path})
            if (!entry.path().filename().string().starts_with('.'))
                all.push_back(entry.path().filename().string());
        std::ranges::sort(all);
        return all;
    }
    std::filesystem::path path;
};

// What goes to the stream beside the file.
struct Stream {
    Stream() { REQUIRE(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0); }
    ~Stream() {
        close(ends[0]);
        close(ends[1]);
    }
    std::string text() {
        char buffer[65536];
        for (ssize_t size; (size = read(ends[0], buffer, sizeof buffer)) > 0;)
            all.append(buffer, static_cast<std::size_t>(size));
        return all;
    }
    int ends[2];
    std::string all;
};

io::LogSettings settings(const Folder& folder, const Stream& stream) {
    io::LogSettings made;
    made.role = "worker";
    made.descriptor = stream.ends[1];
    made.dir = folder / "logs";
    made.file = "worker-a";
    return made;
}

mode_t mode_of(const std::string& path) {
    struct stat found{};
    REQUIRE(::stat(path.c_str(), &found) == 0);
    return found.st_mode & 07777;
}

// No file may grow beyond so many bytes: the nearest thing to a full disk.
struct SmallDisk {
    explicit SmallDisk(rlim_t bytes) {
        ::signal(SIGXFSZ, SIG_IGN);
        REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
        const rlimit small{bytes, before.rlim_max};
        REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
    }
    ~SmallDisk() { ::setrlimit(RLIMIT_FSIZE, &before); }
    rlimit before{};
};

// None more may be opened.
struct FewFiles {
    FewFiles() {
        const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
        REQUIRE(next >= 0);
        ::close(next);
        REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
        const rlimit few{static_cast<rlim_t>(next), before.rlim_max};
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
    }
    ~FewFiles() { ::setrlimit(RLIMIT_NOFILE, &before); }
    rlimit before{};
};

// A small log of three files.
io::LogSettings small(const Folder& folder, const Stream& stream) {
    auto wanted = settings(folder, stream);
    wanted.file_bytes_max = 4096;
    wanted.files_max = 2;
    return wanted;
}

}  // namespace

TEST_CASE("what goes to the stream goes to the file too, for its owner and group alone", "[log]") {
    const Folder folder;
    Stream stream;
    const mode_t umask_before = ::umask(0);
    const auto log = io::make_log(settings(folder, stream)).value();
    ::umask(umask_before);
    log->info("hello", {{"task_id", "7"}});
    CHECK(log->file_path() == folder / "logs/worker-a.log");
    CHECK(folder.read("logs/worker-a.log") == stream.text());
    CHECK_THAT(stream.text(), Contains("msg=\"hello\" task_id=7\n"));
    CHECK(mode_of(log->file_path()) == 0640);
    CHECK(mode_of(folder / "logs") == 0750);
    CHECK(log->lines_lost() == 0);
}

TEST_CASE("a full file is put aside, and the oldest goes", "[log]") {
    Folder folder;
    Stream stream;
    const auto log = io::make_log(small(folder, stream)).value();
    for (int i = 0; i < 100; ++i)
        log->info("line " + std::to_string(i), {{"filler", std::string(200, 'x')}});
    folder.path /= "logs";
    CHECK(folder.names() ==
          std::vector<std::string>{"worker-a.1.log", "worker-a.2.log", "worker-a.log"});
    std::string kept;
    for (const char* name : {"worker-a.2.log", "worker-a.1.log", "worker-a.log"}) {
        const std::string text = folder.read(name);
        CHECK(text.size() <= 4096);
        CHECK(text.ends_with('\n'));
        kept += text;
    }
    // Without a gap: the newest lines, in their order.
    CHECK(stream.text().ends_with(kept));
    CHECK(log->lines_lost() == 0);
    folder.path = folder.path.parent_path();
}

TEST_CASE("a file that cannot be put aside goes on, and no other is lost", "[log]") {
    Folder folder;
    Stream stream;
    const auto log = io::make_log(small(folder, stream)).value();
    folder.path /= "logs";
    int line = 0;
    const auto write = [&](int lines) {
        for (int i = 0; i < lines; ++i)
            log->info("line " + std::to_string(line++), {{"filler", std::string(200, 'x')}});
    };
    const auto kept = [&] {
        std::string all;
        for (const char* name : {"worker-a.2.log", "worker-a.1.log", "worker-a.log"})
            all += folder.read(name);
        return all;
    };
    write(50);
    const std::string older = folder.read("worker-a.2.log"), old = folder.read("worker-a.1.log");
    REQUIRE_FALSE(older.empty());
    SECTION("no file may be opened") {
        {
            const FewFiles few;
            write(50);
        }
        CHECK(folder.read("worker-a.2.log") == older);
        CHECK(folder.read("worker-a.1.log") == old);
    }
    SECTION("something lies in the way of the oldest") {
        std::filesystem::remove(folder / "worker-a.2.log");
        std::filesystem::create_directory(folder / "worker-a.2.log");
        write(50);
        CHECK(folder.read("worker-a.1.log") == old);
        std::filesystem::remove(folder / "worker-a.2.log");
    }
    CHECK(log->lines_lost() == 0);
    CHECK(stream.text().ends_with(kept()));
    CHECK(folder.read("worker-a.log").size() > 10'000);
    write(1);
    CHECK(folder.read("worker-a.log").size() < 4096);
    CHECK(stream.text().ends_with(kept()));
    CHECK(folder.names() ==
          std::vector<std::string>{"worker-a.1.log", "worker-a.2.log", "worker-a.log"});
    folder.path = folder.path.parent_path();
}

TEST_CASE("a file of yesterday is gone on with", "[log]") {
    const Folder folder;
    Stream stream;
    io::make_log(settings(folder, stream)).value()->info("yesterday");
    io::make_log(settings(folder, stream)).value()->info("today");
    CHECK_THAT(folder.read("logs/worker-a.log"), Contains("yesterday") && Contains("today"));
}

TEST_CASE("processes of one name have a file each", "[log]") {
    const Folder folder;
    Stream stream;
    const auto first = io::make_log(settings(folder, stream)).value();
    const auto second = io::make_log(settings(folder, stream)).value();
    CHECK(second->file_path() == folder / "logs/worker-a-2.log");
    first->info("one");
    second->info("two");
    CHECK_THAT(folder.read("logs/worker-a.log"), Contains("one") && !Contains("two"));
}

TEST_CASE("a file that was moved away is opened again by its name", "[log]") {
    const Folder folder;
    Stream stream;
    auto wanted = settings(folder, stream);
    wanted.files_max = 0;  // somebody else sees to it
    wanted.file_bytes_max = 10;
    const auto log = io::make_log(wanted).value();
    log->info("before");
    std::filesystem::rename(log->file_path(), folder / "moved");
    log->info("still the old one");
    log->reopen();
    log->info("after");
    CHECK_THAT(folder.read("moved"), Contains("before") && Contains("still"));
    CHECK_THAT(folder.read("logs/worker-a.log"), Contains("after") && !Contains("still"));
    std::filesystem::rename(folder / "logs", folder / "gone");
    log->reopen();
    CHECK_THAT(stream.text(), Contains("the log file cannot be opened again"));
    log->info("goes on");
    CHECK_THAT(folder.read("gone/worker-a.log"), Contains("goes on"));
}

TEST_CASE("a full disk loses whole lines, which is told once and counted", "[log]") {
    const Folder folder;
    Stream stream;
    const auto log = io::make_log(settings(folder, stream)).value();
    log->info("fits");
    {
        const SmallDisk small{std::filesystem::file_size(log->file_path()) + 10};
        for (int i = 0; i < 20; ++i)
            log->info("does not fit");
        CHECK(log->lines_lost() == 20);
    }
    const std::string text = folder.read("logs/worker-a.log");
    CHECK_THAT(text, !Contains("does not"));
    CHECK(text.ends_with('\n'));
    log->info("fits again");
    log->info("and goes on");
    CHECK(log->lines_lost() == 20);
    const std::string told = stream.text();
    const std::string words = "the log file cannot be written, lines are lost";
    CHECK(told.find(words) != std::string::npos);
    CHECK(told.find(words) == told.rfind(words));
    CHECK_THAT(folder.read("logs/worker-a.log"),
               Contains("fits again") && Contains("lines_lost=20"));
}

TEST_CASE("a folder that cannot be had is told before anything starts", "[log]") {
    const Folder folder;
    Stream stream;
    auto wanted = settings(folder, stream);
    wanted.dir = folder / "no/such/parent";
    const auto log = io::make_log(wanted);
    REQUIRE_FALSE(log);
    CHECK(log.error().code == ErrorCode::io_failed);
    CHECK_THAT(log.error().detail, Contains("no/such/parent"));
    std::ofstream{folder / "file"} << "x";
    wanted.dir = folder / "file";
    CHECK(io::make_log(wanted).error().code == ErrorCode::io_failed);
}

TEST_CASE("names of levels and formats", "[log]") {
    CHECK(io::parse_log_format("json") == io::LogFormat::json);
    CHECK(io::parse_log_format("auto") == io::LogFormat::automatic);
    CHECK_FALSE(io::parse_log_format("xml"));
}
