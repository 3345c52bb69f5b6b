#include "taskd/protocol/outbox.hpp"

#include <algorithm>

#include "taskd/base/limits.hpp"

namespace taskd::protocol {

Outbox::Outbox(std::string from, std::size_t datagram_bytes_max, std::size_t window_bytes)
    : from_{std::move(from)}, window_bytes_{window_bytes} {
    set_datagram_bytes(datagram_bytes_max);
}

void Outbox::set_datagram_bytes(std::size_t most) {
    room_ = most - header_bytes - body_overhead - from_.size();
}

void Outbox::say(Kind kind, const LeaseKey& lease, std::string item, SteadyTime now) {
    settle(kind, lease);
    const Key key{kind, lease};
    const auto due = due_.emplace(now, key);
    pending_.emplace(key, Message{std::move(item), due, limits::resend_initial, false});
}

void Outbox::say_once(Kind kind, std::string item) {
    ready_[kind].push_back(std::move(item));
}

void Outbox::settle(Kind kind, const LeaseKey& lease) {
    const auto found = pending_.find({kind, lease});
    if (found == pending_.end()) return;
    if (found->second.under_way) bytes_under_way_ -= found->second.item.size();
    due_.erase(found->second.due);
    pending_.erase(found);
}

void Outbox::drop(Kind kind) {
    std::vector<LeaseKey> leases;
    for (const auto& [key, message] : pending_)
        if (key.kind == kind) leases.push_back(key.lease);
    for (const LeaseKey& lease : leases)
        settle(kind, lease);
}

// Whether one more such message may go under way.
bool Outbox::has_room_for(const Message& message) const {
    return bytes_under_way_ == 0 || bytes_under_way_ + message.item.size() <= window_bytes_;
}

void Outbox::begin(Message& message) {
    message.under_way = true;
    bytes_under_way_ += message.item.size();
}

void Outbox::send(Due::node_type due, Message& message, SteadyTime now) {
    ready_[due.mapped().kind].push_back(message.item);
    due.key() = now + message.wait;
    message.wait = std::min<Duration>(message.wait * 2, limits::resend_max);
    message.due = due_.insert(std::move(due));
}

std::vector<Outbox::Packet> Outbox::collect(SteadyTime now) {
    while (!due_.empty() && due_.begin()->first <= now) {
        auto due = due_.extract(due_.begin());
        Message& message = pending_.at(due.mapped());
        if (message.under_way) {
            ++resent_;
            send(std::move(due), message, now);
        } else if (due.mapped().kind == Kind::revoke) {  // small, and makes room: it waits for none
            begin(message);
            send(std::move(due), message, now);
        } else {
            due.key() = held_back;
            message.due = due_.insert(std::move(due));
        }
    }
    for (auto next = due_.lower_bound(held_back); next != due_.end();) {
        Message& message = pending_.at(next->second);
        if (!has_room_for(message)) break;
        begin(message);
        send(due_.extract(next++), message, now);
    }
    std::vector<Packet> packets;
    pack(packets);
    return packets;
}

void Outbox::pack(std::vector<Packet>& packets) {
    for (auto& [kind, items] : ready_) {
        std::vector<std::string> together;
        std::size_t bytes = 0;
        const auto close = [&, kind = kind] {
            if (!together.empty()) packets.push_back({kind, write_body(from_, together)});
            together.clear();
            bytes = 0;
        };
        for (std::string& item : items) {
            if (bytes + item.size() + 1 > room_) close();
            bytes += item.size() + 1;
            together.push_back(std::move(item));
        }
        close();
    }
    ready_.clear();
}

std::optional<SteadyTime> Outbox::next_deadline() const {
    if (due_.empty() || due_.begin()->first == held_back) return std::nullopt;
    return due_.begin()->first;
}

}  // namespace taskd::protocol
