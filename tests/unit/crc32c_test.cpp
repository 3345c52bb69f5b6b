// CRC-32C against its published check values, and the processor's way against the table's.
#include "io/store/crc32c.hpp"
#include "catch.hpp"
#include "random_model.hpp"

using namespace taskd;

TEST_CASE("crc32c gives the published values") {
    CHECK(io::crc32c("") == 0);
    CHECK(io::crc32c("123456789") == 0xe3069283);
    CHECK(io::crc32c(std::string(32, '\0')) == 0x8a9136aa);  // RFC 3720, B.4
    CHECK(io::crc32c(std::string(32, '\xff')) == 0x62a8ab43);
}

TEST_CASE("crc32c is the same by table and in parts") {
    Random random{5};
    for (int i = 0; i < 500; ++i) {
        const std::string text = support::random_text(random, 200);
        const std::size_t part = random.below(text.size() + 1);
        const std::string_view view = text;
        CHECK(io::crc32c(view) == io::crc32c_by_table(view));
        CHECK(io::crc32c(view.substr(part), io::crc32c(view.substr(0, part))) == io::crc32c(view));
    }
}
