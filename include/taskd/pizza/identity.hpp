// The identity service: OAuth 2.0 client credentials, signed tokens, the keys that prove them, new
// keys now and then. Contract: config/pizza/identity.openapi.yaml. All on the loop.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/io/signing_key.hpp"
#include "taskd/model/document.hpp"
#include "taskd/pizza/front.hpp"
#include "taskd/pizza/seldom.hpp"
#include "taskd/pizza/service.hpp"

namespace taskd::pizza {

struct IdentityClient {
    std::string id;
    std::string secret_sha256;  // 64 hex digits
    std::vector<std::string> audiences;
};
// {clients: [{id, secret or secret_sha256, audiences: […]}]}; config_invalid with the place.
Result<std::vector<IdentityClient>> read_clients(const Document& document);

struct IdentitySettings {
    std::string issuer;  // "http://127.0.0.1:8094"
    std::vector<IdentityClient> clients;
    io::SigningAlgorithm algorithm = io::SigningAlgorithm::es256;
    Duration token_time = std::chrono::minutes{5};
    Duration rotate_every = std::chrono::hours{24};
    std::string keys_file;
};

class IdentityService {
  public:
    // Reads the keys, or makes the first (mode 0600).
    static Result<std::unique_ptr<IdentityService>> make(IdentitySettings settings,
                                                         port::Timers& timers,
                                                         const port::Clock& clock, port::Log& log,
                                                         std::uint64_t seed);

    void add_routes(Front& front);
    void start();
    void report(port::MetricSink& sink) const { outcomes_.report(sink); }

  private:
    struct Key {
        io::SigningKey key;
        WallTime made_at;
    };
    struct Form;
    IdentityService(IdentitySettings settings, port::Timers& timers, const port::Clock& clock,
                    port::Log& log, std::uint64_t seed);
    Result<void> load();
    Result<void> rotate();
    Result<void> save() const;
    void drop_old();
    void plan();
    const io::SigningKey& signing() const { return keys_[1].key; }
    void token(Call call);
    const IdentityClient* authenticated(const Form& form) const;
    void issue(Call& call, const IdentityClient& client, const std::string& audience);
    std::string configuration() const;
    std::string keys() const;

    IdentitySettings settings_;
    const port::Clock& clock_;
    port::Log& log_;
    Random random_;
    std::unique_ptr<port::Timer> timer_;
    std::vector<Key> keys_;  // announced, signing, then those that signed before
    Outcomes outcomes_{"identity"};
    Seldom refusals_;
};

}  // namespace taskd::pizza
