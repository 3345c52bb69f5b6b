// The search language: what it takes, what it makes of it, and what it says of faults.
#include "taskd/model/search.hpp"

#include "catch.hpp"
#include "taskd/base/limits.hpp"

using namespace taskd;
using namespace std::chrono_literals;

namespace {

SearchTerm only(std::string_view text) {
    INFO(text);
    const auto search = parse_search(text);
    INFO((search ? std::string{} : search.error().detail));
    REQUIRE(search);
    REQUIRE(search->terms.size() == 1);
    return search->terms.front();
}

std::string fault(std::string_view text) {
    const auto search = parse_search(text);
    INFO(text);
    REQUIRE_FALSE(search);
    CHECK(search.error().code == ErrorCode::invalid_field);
    return search.error().detail;
}

}  // namespace

TEST_CASE("terms are split at blanks and each is understood by its field") {
    const auto search =
        parse_search("  state:dead type:email,sms\tage>1h -worker:w3 payload.user=42 timeout ");
    REQUIRE(search);
    const auto& terms = search->terms;
    REQUIRE(terms.size() == 6);
    CHECK(terms[0].values.front().state == TaskState::dead);
    CHECK(terms[1].field == SearchField::type);
    CHECK(terms[1].values.size() == 2);
    CHECK(terms[2].comparison == Comparison::greater);
    CHECK(terms[2].values.front().span == 1h);
    CHECK(terms[3].negated);
    CHECK(terms[4].path == std::vector<PathStep>{"user"});
    CHECK(terms[4].values.front().text == "42");
    CHECK(terms[5].field == SearchField::error);
    CHECK(parse_search("")->terms.empty());
}

TEST_CASE("comparisons, negation, paths, quotes and continuations") {
    CHECK(only("priority<=3").comparison == Comparison::less_or_equal);
    CHECK(only("priority<3").comparison == Comparison::less);
    CHECK(only("attempts>=2").comparison == Comparison::greater_or_equal);
    CHECK(only("type!=sum").negated);
    CHECK_FALSE(only("-type!=sum").negated);
    CHECK(only("queue=sum") == only("type:sum"));
    CHECK(only("payload.a.b[3][0].c>1.5").path ==
          std::vector<PathStep>{"a", "b", std::uint64_t{3}, std::uint64_t{0}, "c"});
    CHECK(only("payload[0]:x").path == std::vector<PathStep>{std::uint64_t{0}});
    CHECK(only("type:em*").values.front().prefix);
    CHECK(only("type:em*").values.front().text == "em");
    const SearchTerm quoted = only(R"(error:"no \"such\" host, twice")");
    CHECK(quoted.values.front().text == R"(no "such" host, twice)");
    CHECK(quoted.values.front().quoted);
    CHECK(only(R"("two words")").field == SearchField::error);
    CHECK(only(R"(type:"a*")").values.front().prefix == false);
    CHECK(only("worker:a,\"b c\",d").values.size() == 3);
    CHECK(only("time-out").values.front().text == "time-out");
    const SearchValue label = only("label:team/a=r*").values.front();
    CHECK(label.name == "team/a");
    CHECK(label.text == "r");
    CHECK((label.prefix && !label.any));
    CHECK(only("label=team").values.front().any);
    CHECK(only("label:\"team=a b=c\"").values.front().text == "a b=c");
    CHECK(only("key:acme,bolt").values.size() == 2);
    CHECK(only("state:expired").values.front().state == TaskState::expired);
}

TEST_CASE("a fault names the term and what would do") {
    CHECK(fault("state:dead tpye:x") ==
          "in 'tpye:x': there is no field 'tpye'; did you mean 'type'?");
    CHECK(fault("state:daed") == "in 'state:daed': 'daed' is no state; did you mean 'dead'?");
    CHECK(fault("age>soon") == "in 'age>soon': 'soon' is no duration, as 90s, 15m, 2h or 7d");
    CHECK(fault("priority:high") == "in 'priority:high': 'high' is no whole number");
    CHECK(fault("payload:1") == "in 'payload:1': say which part: payload.NAME");
    CHECK(fault("type.x:1") == "in 'type.x:1': this field has no parts");
    CHECK(fault("type>a") == "in 'type>a': this field has no order, only : and !=");
    CHECK(fault("age>1h,2h") == "in 'age>1h,2h': an order takes one value, not a list");
    CHECK(fault("payload.a>1*") == "in 'payload.a>1*': an order takes no *");
    CHECK(fault("type:") == "in 'type:': a value is missing");
    CHECK(fault("type:a,") == "in 'type:a,': a value is missing");
    CHECK(fault("type!a") == "in 'type!a': after ! comes =");
    CHECK(fault("payload..a:1") == "in 'payload..a:1': a part of the path is empty");
    CHECK(fault("payload.:1") == "in 'payload.:1': a part of the path is empty");
    CHECK(fault("payload[x]:1") == "in 'payload[x]:1': an element is [NUMBER]");
    CHECK(fault("payload[1:1") == "in 'payload[1:1': an element is [NUMBER]");
    CHECK(fault("payload[1]a:1") == "in 'payload[1]a:1': after an element comes . or [");
    CHECK(fault("error:\"open") == "in 'error:\"open': a quote is not closed");
    CHECK(fault("error:\"a\"b") == "in 'error:\"a\"b': a blank is missing after the value");
    CHECK(fault("-") == "in '-': a value is missing");
    CHECK(fault("label:=red") == "in 'label:=red': a label is NAME=VALUE, or NAME alone");
    CHECK(fault("label:te*") == "in 'label:te*': the name of a label takes no *");
    CHECK(fault("label.a:1") == "in 'label.a:1': this field has no parts");
    CHECK(fault("key>a") == "in 'key>a': this field has no order, only : and !=");
    CHECK(fault(":x").find("there is no field ''") != std::string::npos);
}

TEST_CASE("a search has bounds") {
    std::string many;
    for (std::size_t i = 0; i <= limits::search_terms_max; ++i)
        many += "a ";
    CHECK(fault(many).find("terms") != std::string::npos);
    std::string list = "worker:a";
    for (std::size_t i = 0; i < limits::search_values_max; ++i)
        list += ",a";
    CHECK(fault(list).find("values") != std::string::npos);
    std::string path = "payload";
    for (std::size_t i = 0; i <= limits::search_steps_max; ++i)
        path += ".a";
    CHECK(fault(path + ":1").find("too long") != std::string::npos);
    CHECK(fault(std::string(limits::search_bytes_max + 1, 'a')).find("bytes") != std::string::npos);
}
