// taskd pizza demo: plays what happens to customers and pizzas while parts of the platform are
// killed, with real processes, and prints it.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "command.hpp"
#include "demo_house.hpp"
#include "taskd/io/clock.hpp"
#include "taskd/io/entropy.hpp"
#include "taskd/io/private_files.hpp"
#include "taskd/io/work_dir.hpp"
#include "taskd/protocol/json.hpp"

namespace taskd::roles {
namespace {

using namespace std::chrono_literals;
using protocol::JsonView;

constexpr std::string_view secret = "the-secret-of-the-order-service";

void tell(std::string_view text) {
    std::fputs(fmt::format("{}\n", text).c_str(), stdout);
    std::fflush(stdout);
}

// One play on one house: scenes say what they do and what came of it.
class Play {
  public:
    Play(DemoHouse& house, std::string cook_time)
        : house_{house}, cook_time_{std::move(cook_time)} {}

    Result<void> open_house();
    void run();
    int wrong() const { return wrong_; }

  private:
    void scene(std::string_view title) { tell(fmt::format("\n{}. {}", ++scenes_, title)); }
    void check(bool good, std::string_view what) {
        tell(fmt::format("   {} {}", good ? "✓" : "✗", what));
        wrong_ += good ? 0 : 1;
    }
    void must(const Result<void>& done) {
        if (!done) check(false, done.error().to_string());
    }

    // Kitchens of one house: they share its store.
    std::vector<std::string> kitchen_words() const {
        return {"pizza",         "kitchen",
                "--broker",      house_.url("broker"),
                "--cook-min",    cook_time_,
                "--cook-max",    cook_time_,
                "--ovens",       "2",
                "--ack-timeout", "1s",
                "--data",        house_.folder() + "/kitchen"};
    }
    DemoAnswer order(int number, const std::string& language = "de") const;
    std::vector<std::string> place(int count);
    std::set<std::string> told(const std::string& topic, std::size_t& count) const;
    bool all_in(const std::string& topic, const std::vector<std::string>& orders) const;
    bool once_in(const std::string& topic) const;

    void from_counter_to_door();
    void payment_away();
    void kitchen_away();
    void two_kitchens();
    void kitchen_killed();
    void order_away();
    void delivery_away();
    void broker_killed();
    void tokens();

    DemoHouse& house_;
    std::string cook_time_;
    std::vector<std::string> all_;  // orders that were taken
    int scenes_ = 0;
    int wrong_ = 0;
};

Result<void> Play::open_house() {
    const std::string& dir = house_.folder();
    const std::string clients = dir + "/clients.yaml";
    if (auto put = io::write_private_file(
            clients,
            fmt::format("clients:\n- {{id: order, secret: {}, audiences: [payment]}}\n", secret));
        !put)
        return put;
    if (auto put = io::write_private_file(dir + "/secret", fmt::format("{}\n", secret)); !put)
        return put;
    if (auto done = house_.start("broker", {"dispatcher"}); !done) return done;
    const std::vector<std::string> broker{"--broker", house_.url("broker")};
    const auto with = [](std::vector<std::string> words, const std::vector<std::string>& more) {
        words.insert(words.end(), more.begin(), more.end());
        return words;
    };
    if (auto done = house_.start("identity", {"pizza", "identity", "--clients", clients}); !done)
        return done;
    const std::string identity = house_.url("identity");
    if (auto done = house_.start(
            "payment", with({"pizza", "payment", "--identity", identity, "--decline-percent", "0",
                             "--delay-min", "10ms", "--delay-max", "60ms"},
                            broker));
        !done)
        return done;
    if (auto done = house_.start(
            "order", with({"pizza", "order", "--payment", house_.url("payment"), "--identity",
                           identity, "--client-secret-file", dir + "/secret", "--payment-timeout",
                           "1s", "--payment-wait", "50ms", "--breaker-time", "500ms"},
                          broker));
        !done)
        return done;
    if (auto done = house_.start("kitchen", kitchen_words()); !done) return done;
    return house_.start("delivery", with({"pizza", "delivery", "--ack-timeout", "1s"}, broker));
}

DemoAnswer Play::order(int number, const std::string& language) const {
    constexpr std::string_view pizzas[] = {"Margherita", "Salami", "Funghi", "Hawaii"};
    std::string body;
    protocol::JsonWriter{body}
        .begin_object()
        .field("pizza", pizzas[static_cast<std::size_t>(number) % std::size(pizzas)])
        .field("quantity", 1 + number % 3)
        .field("address", fmt::format("Ringstraße {}", number))
        .field("customerName", fmt::format("Kundin {}", number))
        .end_object();
    return house_.ask("order", "POST", "/orders", body, {{"Accept-Language", language}});
}

// As many as are taken.
std::vector<std::string> Play::place(int count) {
    std::vector<std::string> orders;
    for (int i = 0; i < count; ++i) {
        const DemoAnswer answer = order(static_cast<int>(all_.size()));
        if (answer.status != 201) continue;
        orders.push_back(answer.json()["orderId"].text());
        all_.push_back(orders.back());
    }
    return orders;
}

std::set<std::string> Play::told(const std::string& topic, std::size_t& count) const {
    std::set<std::string> orders;
    count = 0;
    for (std::string after = "0";;) {
        const DemoAnswer page = house_.ask(
            "broker", "GET", fmt::format("/v1/topics/{}/events?limit=1000&after={}", topic, after));
        const auto events = page.json()["events"].items();
        if (events.empty()) return orders;
        for (const JsonView& event : events)
            orders.insert(event["data"]["orderId"].text());
        count += events.size();
        after = page.json()["last"].text();
    }
}

bool Play::all_in(const std::string& topic, const std::vector<std::string>& orders) const {
    std::size_t count = 0;
    const auto there = told(topic, count);
    return std::ranges::all_of(orders, [&](const auto& each) { return there.contains(each); });
}

bool Play::once_in(const std::string& topic) const {
    std::size_t count = 0;
    return told(topic, count).size() == count;
}

// ---- scenes ------------------------------------------------------------------------------------

void Play::from_counter_to_door() {
    scene("An order, from the counter to the door");
    const DemoAnswer answer = order(0);
    tell("   " + answer.body);
    check(answer.status == 201, "it is paid and taken at once");
    const std::string id = answer.json()["orderId"].text();
    const std::string trace = answer.json()["traceId"].text();
    all_.push_back(id);
    check(house_.wait([&] { return all_in("customer.notified", {id}); }),
          "cooked, given to a driver, and the customer told: Dein Essen kommt!");
    const auto spans = [&] {
        const DemoAnswer page =
            house_.ask("broker", "GET", "/v1/topics/trace.spans/events?limit=1000");
        return std::ranges::count_if(page.json()["events"].items(), [&](const JsonView& event) {
            return event["data"]["traceId"].text() == trace;
        });
    };
    check(house_.wait([&] { return spans() == 7; }), "taskd trace " + trace);
    tell(house_.run({"trace", trace, "--url", house_.url("broker")}));
}

void Play::payment_away() {
    scene("The payment is stopped; a customer orders");
    house_.kill("payment");
    for (const auto& [language, words] :
         {std::pair{"de", "Zahlungssystem antwortet nicht, bitte später versuchen"},
          {"en", "The payment system does not answer, please try again later"}}) {
        const DemoAnswer answer = order(1, language);
        tell(fmt::format("   {} {}", answer.status, answer.body));
        check(answer.status == 503 && answer.json()["message"].text() == words,
              "a friendly answer, in the customer's language");
    }
    must(house_.start_again("payment"));
    DemoAnswer answer;
    check(house_.wait([&] { return (answer = order(2)).status == 201; }),
          "the payment is back: the next order is taken");
    all_.push_back(answer.json()["orderId"].text());
}

void Play::kitchen_away() {
    scene("The kitchen is stopped, five orders come, the kitchen starts");
    house_.kill("kitchen");
    const auto orders = place(5);
    check(orders.size() == 5, "five orders are taken while nobody cooks");
    must(house_.start_again("kitchen"));
    check(house_.wait([&] { return all_in("order.ready", orders); }), "five pizzas");
}

void Play::two_kitchens() {
    scene("Two kitchens, twelve orders");
    auto words = kitchen_words();
    must(house_.start("kitchen-2", words));
    const auto orders = place(12);
    check(house_.wait([&] { return all_in("order.ready", orders); }), "all are cooked");
    for (const char* name : {"kitchen", "kitchen-2"}) {
        std::size_t own = 0;
        for (const std::string& id : orders)
            own += house_.log_lines(name, {"msg=\"cooked\"", id}).size();
        check(own > 0, fmt::format("{} cooked {} of them", name, own));
    }
}

void Play::kitchen_killed() {
    scene("Three kitchens, thirty orders; one kitchen is killed while it bakes");
    must(house_.start("kitchen-3", kitchen_words()));
    const auto orders = place(30);
    const std::size_t before = house_.log_lines("kitchen-2", {"msg=\"cooking\""}).size();
    house_.wait([&] { return house_.log_lines("kitchen-2", {"msg=\"cooking\""}).size() > before; });
    house_.kill("kitchen-2");
    check(house_.wait([&] { return all_in("order.ready", orders); }, 40s),
          "all thirty are cooked nevertheless");
    check(once_in("order.ready"), "none is told twice");
}

void Play::order_away() {
    scene("The order service is stopped behind three orders");
    const auto orders = place(3);
    house_.wait([&] { return all_in("order.placed", orders); });
    house_.kill("order");
    check(house_.wait([&] { return all_in("customer.notified", orders); }),
          "kitchen and delivery finish them; the customers are told");
    must(house_.start_again("order"));
}

void Play::delivery_away() {
    scene("The delivery is down, four orders are cooked, the delivery starts");
    house_.kill("delivery");
    const auto orders = place(4);
    check(house_.wait([&] { return all_in("order.ready", orders); }), "four pizzas wait");
    must(house_.start_again("delivery"));
    check(house_.wait([&] { return all_in("customer.notified", orders); }), "none is missed");
}

void Play::broker_killed() {
    scene("The broker is killed in the middle, orders go on, the broker starts");
    auto orders = place(3);
    house_.kill("broker");
    for (const std::string& id : place(3))
        orders.push_back(id);
    check(orders.size() == 6, "customers notice nothing");
    must(house_.start_again("broker"));
    check(house_.wait([&] { return all_in("customer.notified", orders); }, 40s), "nothing is lost");
}

void Play::tokens() {
    scene("Somebody without a good token wants to pay");
    const std::string body =
        fmt::format(R"({{"orderId":"{}","customerName":"Mallory","amount":1}})", all_.front());
    const std::string forged =
        "eyJhbGciOiJub25lIn0.eyJpc3MiOiJtZSIsImF1ZCI6InBheW1lbnQifQ.";  // alg: none
    for (const auto& [header, reason] : {std::pair{std::string{}, "missing"},
                                         {"Bearer nonsense", "malformed"},
                                         {"Bearer " + forged, "unsigned"}}) {
        port::HttpHeaders headers;
        if (!header.empty()) headers.emplace_back("Authorization", header);
        const DemoAnswer answer = house_.ask("payment", "POST", "/pay", body, headers);
        check(answer.status == 401 && answer.json()["reason"].text() == reason,
              fmt::format("{} {}", answer.status, answer.json()["reason"].text()));
    }
}

void Play::run() {
    from_counter_to_door();
    payment_away();
    kitchen_away();
    two_kitchens();
    kitchen_killed();
    order_away();
    delivery_away();
    broker_killed();
    tokens();
    scene("All in all");
    check(house_.wait([&] { return all_in("customer.notified", all_); }),
          fmt::format("{} orders taken, {} customers told", all_.size(), all_.size()));
    bool once = true;
    for (const char* topic : {"order.placed", "order.ready", "delivery.assigned"})
        once = once && once_in(topic);
    check(once, "each placed, cooked and delivered once");
}

int run(const Options& options) {
    std::error_code fault;
    const std::string program = std::filesystem::read_symlink("/proc/self/exe", fault);
    if (fault) return report({ErrorCode::internal, "/proc/self/exe: " + fault.message()});
    auto folder = io::WorkDir::make({}, fmt::format("pizza-{:x}", io::random_seed()));
    if (!folder) return report(folder.error());
    io::Loop loop;
    DemoHouse house{loop, program, (*folder)->path()};
    Play play{house, options.text("cook-time")};
    tell("starting the broker, identity, payment, order, kitchen and delivery");
    if (auto opened = play.open_house(); !opened) {
        house.stop_all();
        return report(opened.error());
    }
    play.run();
    house.stop_all();
    tell(play.wrong() == 0 ? "\neverything as it should be"
                           : fmt::format("\n{} things are not as they should be", play.wrong()));
    return play.wrong() == 0 ? 0 : 1;
}

}  // namespace

const Command& pizza_demo_command() {
    static const Command command{
        {.name = "pizza demo",
         .arguments = "",
         .summary = "play what happens while parts of the platform are killed",
         .text = "Starts all of it on free ports, in a folder that is removed at the end, and "
                 "prints what comes of\neach scene. Ends with 1 when something is not as it "
                 "should be.",
         .options = {{.name = "cook-time",
                      .kind = OptionKind::duration,
                      .value = "TIME",
                      .fallback = "300ms",
                      .help = "how long an order takes in an oven",
                      .from_environment = false}},
         .examples = {{"taskd pizza demo", "half a minute"},
                      {"taskd pizza demo --cook-time 2s", "with time to watch"}}},
        run};
    return command;
}

}  // namespace taskd::roles
