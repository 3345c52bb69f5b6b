// The tables that READMEs show are those of the code.
#include <fstream>
#include <sstream>

#include "catch.hpp"
#include "taskd/model/task_state.hpp"
#include "taskd/port/metrics.hpp"
#include "taskd/protocol/datagram.hpp"

using namespace taskd;

namespace {

std::string read(const std::string& path) {
    std::ifstream file{TASKD_SOURCE_DIR "/" + path};
    REQUIRE(file);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

}  // namespace

TEST_CASE("the engine's README shows the state table as it is") {
    std::string rows = "| from | event | to |\n|---|---|---|\n";
    for (const StateRow& row : state_table()) {
        rows.append("| ").append(to_text(row.from)).append(" | ").append(to_text(row.event));
        rows.append(" | ").append(to_text(row.to)).append(" |\n");
    }
    CHECK(read("src/engine/README.md").find(rows + "\n") != std::string::npos);
}

TEST_CASE("the protocol's README names every kind of message") {
    const std::string text = read("src/protocol/README.md");
    for (const auto& row : protocol::kind_table()) {
        INFO(row.name);
        const std::string line = "| " + std::to_string(static_cast<int>(row.kind)) + " | " +
                                 std::string{row.name} + " | " + std::string{row.sender} + " |";
        CHECK(text.find(line) != std::string::npos);
    }
}

TEST_CASE("the ports' README shows the table of metrics as it is") {
    std::string rows = "| name | kind | labels | what |\n|---|---|---|---|\n";
    for (const port::MetricRow& row : port::metric_table()) {
        std::string labels{row.labels};
        if (const auto comma = labels.find(','); comma != std::string::npos)
            labels.replace(comma, 1, ", ");
        if (const auto comma = labels.rfind(','); labels.find(',') != comma)
            labels.replace(comma, 1, ", ");
        const std::string kind = row.kind == port::MetricKind::counter ? "counter"
                                 : row.kind == port::MetricKind::gauge ? "gauge"
                                                                       : "histogram";
        rows.append("| `").append(row.name).append("` | ").append(kind).append(" | ");
        rows.append(labels).append(" | ").append(row.help).append(" |\n");
    }
    CHECK(read("src/port/README.md").ends_with(rows));
}
