// What one side still has to say to a peer over UDP: messages that are sent again, with growing
// waits, until the peer answers them. As many share a datagram as fit; no more bytes are under way
// than the peer's window takes. Pure: time comes in.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "taskd/base/time.hpp"
#include "taskd/protocol/datagram.hpp"

namespace taskd::protocol {

class Outbox {
  public:
    // `from` stands in every body; it takes its share of `datagram_bytes_max`.
    Outbox(std::string from, std::size_t datagram_bytes_max, std::size_t window_bytes);

    void set_window(std::size_t bytes) { window_bytes_ = bytes; }
    void set_datagram_bytes(std::size_t most);

    // Whether one such item fits a datagram at all.
    bool fits(std::string_view item) const { return item.size() <= room_; }

    // Says it until settle(kind, lease). Saying what is there already starts its sending anew.
    void say(Kind kind, const LeaseKey& lease, std::string item, SteadyTime now);
    // Says it once, with the next datagram of its kind.
    void say_once(Kind kind, std::string item);
    // Makes room in the window: collect() then has more to send.
    void settle(Kind kind, const LeaseKey& lease);
    void drop(Kind kind);  // all of it that is not settled
    bool has(Kind kind, const LeaseKey& lease) const { return pending_.contains({kind, lease}); }
    std::size_t pending() const { return pending_.size(); }
    // Whether some of it waits for room in the window.
    bool holds_back() const { return !due_.empty() && due_.rbegin()->first == held_back; }
    // How many messages were said again since the last call.
    std::size_t take_resent() { return std::exchange(resent_, 0); }

    struct Packet {
        Kind kind{};
        std::string body;
    };
    // What is due now, packed.
    std::vector<Packet> collect(SteadyTime now);
    // When collect has something to do; none when nothing waits for a time.
    std::optional<SteadyTime> next_deadline() const;

  private:
    struct Key {
        Kind kind;
        LeaseKey lease;
        friend bool operator==(const Key&, const Key&) = default;
    };
    struct KeyHash {
        std::size_t operator()(const Key& key) const noexcept {
            return std::hash<TaskId>{}(key.lease.id) ^ (key.lease.epoch.value << 4) ^
                   std::to_underlying(key.kind);
        }
    };
    using Due = std::multimap<SteadyTime, Key>;  // those of one moment as they came
    // Behind all times, as they came: what the window has no room for yet.
    static constexpr SteadyTime held_back = SteadyTime::max();
    struct Message {
        std::string item;
        Due::iterator due;
        Duration wait{};
        bool under_way = false;  // sent at least once and not answered
    };
    bool has_room_for(const Message& message) const;
    void begin(Message& message);
    void send(Due::node_type due, Message& message, SteadyTime now);
    void pack(std::vector<Packet>& packets);

    std::string from_;
    std::size_t room_;
    std::size_t window_bytes_;
    std::size_t bytes_under_way_ = 0;
    std::size_t resent_ = 0;
    std::unordered_map<Key, Message, KeyHash> pending_;
    Due due_;
    std::map<Kind, std::vector<std::string>> ready_;  // to be packed
};

}  // namespace taskd::protocol
