// A document as a tree: what a YAML file says, each value with its place for messages. Pure.
#pragma once

#include <string>
#include <vector>

namespace taskd {

struct DocumentField;

// What kind a value is; the scalars of a document are texts until somebody reads them.
enum class DocumentKind { null, scalar, list, map };

struct Document {
    DocumentKind kind = DocumentKind::null;
    std::string text;     // of a scalar
    bool quoted = false;  // a scalar that is a text whatever it looks like
    std::string place;    // "worker.yaml:3:14"
    std::vector<Document> items;
    std::vector<DocumentField> fields;  // in their order, each name once
};

struct DocumentField {
    std::string name;
    std::string place;  // of the name
    Document value;
};

}  // namespace taskd
