// Plays story files: commands, a line of dashes, what was answered. With TASKD_UPDATE_STORIES set
// the answers are written anew.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "catch.hpp"

namespace taskd::test {

using Arguments = std::map<std::string, std::string>;

// "verb subject name=value …".
struct StoryLine {
    std::string verb;
    std::string subject;
    Arguments given;
};
inline StoryLine parse_line(const std::string& line) {
    std::istringstream words{line};
    StoryLine parsed;
    std::string word;
    words >> parsed.verb;
    while (words >> word) {
        const auto equals = word.find('=');
        if (equals == std::string::npos)
            parsed.subject = word;
        else
            parsed.given[word.substr(0, equals)] = word.substr(equals + 1);
    }
    return parsed;
}

// Plays a story and returns it with the answers as they are now.
template <class Stage>
std::string replay(std::istream& story) {
    Stage stage;
    std::string told, line, answers;
    bool in_answers = false;
    while (std::getline(story, line)) {
        if (line == "----") {
            told += "----\n" + answers;
            answers.clear();
            in_answers = true;
        } else if (line.empty()) {
            told += "\n";
            in_answers = false;
        } else if (line.starts_with('#')) {
            told += line + "\n";
        } else if (!in_answers) {
            told += line + "\n";
            answers += stage.play(line);
        }
    }
    return told;
}

// All stories of a folder; how many there are.
template <class Stage>
std::size_t play_all(const std::string& folder) {
    std::size_t stories = 0;
    for (const auto& found : std::filesystem::directory_iterator{folder}) {
        if (found.path().extension() != ".story") continue;
        ++stories;
        INFO(found.path().filename().string());
        std::ifstream file{found.path()};
        const std::string told{std::istreambuf_iterator<char>{file}, {}};
        std::istringstream input{told};
        const std::string now = replay<Stage>(input);
        if (std::getenv("TASKD_UPDATE_STORIES") != nullptr)
            std::ofstream{found.path()} << now;
        else
            CHECK(now == told);
    }
    return stories;
}

}  // namespace taskd::test
