// Whom a role without a key answers: whoever reaches it, but no web page of somebody else.
#include "taskd/service/http_front.hpp"

#include "catch.hpp"

using namespace taskd;

TEST_CASE("a body that was read is let go while its call waits", "[front]") {
    service::Call call;
    call.request.body = std::string(limits::mebibyte, 'x');
    call.drop_body();
    CHECK(call.request.body.capacity() < 100);
}
