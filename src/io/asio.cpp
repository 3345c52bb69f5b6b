// Asio's own code, compiled once: everything else sees declarations only.
#include <asio/impl/src.hpp>
