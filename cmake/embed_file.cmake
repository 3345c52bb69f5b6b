# Writes OUT: the bytes of IN, and FUNCTION of HEADER that hands them out. Run by cmake -P.
file(READ "${IN}" HEX_BYTES HEX)
string(REGEX REPLACE "(................................)" "\\1\n    " HEX_BYTES "${HEX_BYTES}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," HEX_BYTES "${HEX_BYTES}")
file(WRITE "${OUT}" "#include \"${HEADER}\"

namespace {
constexpr unsigned char bytes[] = {
    ${HEX_BYTES}};
}  // namespace

std::string_view ${FUNCTION}() {
    return {reinterpret_cast<const char*>(bytes), sizeof bytes};
}
")
