// Build tool: turns a contract in YAML into a source file that holds it as JSON, handed out by
// FUNCTION of NAMESPACE, which HEADER declares.
// usage: openapi_to_cpp IN.yaml OUT.cpp HEADER NAMESPACE FUNCTION
#include <yaml-cpp/yaml.h>

#include <charconv>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>

namespace {

void write_string(std::string& out, const std::string& text) {
    out.push_back('"');
    for (const char c : text) {
        if (c == '"' || c == '\\') out.push_back('\\');
        if (c == '\n') {
            out.append("\\n");
        } else if (static_cast<unsigned char>(c) < 0x20) {
            char escape[8];
            std::snprintf(escape, sizeof escape, "\\u%04x", c);
            out.append(escape);
        } else {
            out.push_back(c);
        }
    }
    out.push_back('"');
}

// YAML's core schema: plain true, false, null and numbers are not strings, quoted ones are.
void write_scalar(std::string& out, const YAML::Node& node) {
    const std::string& text = node.Scalar();
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool is_number = error == std::errc{} && end == text.data() + text.size();
    const bool is_word = text == "true" || text == "false" || text == "null";
    if (node.Tag() != "!" && (is_number || is_word))
        out.append(text);
    else
        write_string(out, text);
}

void write_node(std::string& out, const YAML::Node& node) {
    if (node.IsMap()) {
        out.push_back('{');
        bool first = true;
        for (const auto& pair : node) {
            if (!std::exchange(first, false)) out.push_back(',');
            write_string(out, pair.first.Scalar());
            out.push_back(':');
            write_node(out, pair.second);
        }
        out.push_back('}');
    } else if (node.IsSequence()) {
        out.push_back('[');
        bool first = true;
        for (const auto& element : node) {
            if (!std::exchange(first, false)) out.push_back(',');
            write_node(out, element);
        }
        out.push_back(']');
    } else if (node.IsScalar()) {
        write_scalar(out, node);
    } else {
        out.append("null");
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 6) return 2;
    const std::string space = argv[4];
    try {
        std::string json;
        write_node(json, YAML::LoadFile(argv[1]));
        std::ofstream out{argv[2]};
        out << "#include \"" << argv[3] << "\"\n\nnamespace " << space
            << " {\nnamespace {\nconstexpr char text[] =\n";
        constexpr std::size_t piece = 2000;  // compilers bound the length of one literal
        for (std::size_t i = 0; i < json.size(); i += piece)
            out << "    R\"~~~(" << json.substr(i, piece) << ")~~~\"\n";
        out << ";\n}  // namespace\n\nstd::string_view " << argv[5]
            << "() { return {text, sizeof text - 1}; }\n\n}  // namespace " << space << "\n";
        return out.good() ? 0 : 1;
    } catch (const YAML::Exception& error) {
        std::cerr << argv[1] << ": " << error.what() << "\n";
        return 1;
    }
}
