#include "taskd/pizza/identity.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <optional>

#include "taskd/base/assert.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/io/private_files.hpp"
#include "taskd/protocol/base64url.hpp"
#include "taskd/protocol/datagram.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/json_view.hpp"
#include "taskd/protocol/target.hpp"

namespace taskd::pizza {
namespace {

constexpr std::size_t keys_file_bytes_max = limits::mebibyte;
constexpr std::size_t secret_bytes_min = 16;
// What others may keep of the keys, and how long an old key stays beside its last token's life.
constexpr Duration keys_kept = std::chrono::minutes{5};
constexpr Duration rotate_again = std::chrono::minutes{1};  // behind a failure

std::string sha256_hex(std::string_view text) {
    std::array<unsigned char, 32> digest{};
    TASKD_ASSERT(
        EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_sha256(), nullptr) == 1);
    constexpr std::string_view digits = "0123456789abcdef";
    std::string hex;
    for (const unsigned char byte : digest) {
        hex += digits[byte >> 4];
        hex += digits[byte & 15];
    }
    return hex;
}

// Standard Base64 with padding, as HTTP Basic has it.
std::optional<std::string> decode_basic(std::string_view text) {
    std::string url{text.substr(0, text.find_last_not_of('=') + 1)};
    if (url.find_first_of("-_") != std::string::npos) return std::nullopt;
    for (char& c : url)
        c = c == '+' ? '-' : c == '/' ? '_' : c;
    return protocol::decode_base64url(url);
}

std::string seconds_of(WallTime time) {
    return std::to_string(time.time_since_epoch() / std::chrono::seconds{1});
}

std::string oauth_error(std::string_view error, std::string_view description) {
    std::string body;
    protocol::JsonWriter{body}
        .begin_object()
        .field("error", error)
        .field("error_description", description)
        .end_object();
    return body;
}

Result<IdentityClient> read_client(const Document& entry) {
    const auto wrong = [](const Document& at, std::string_view what) {
        return fail(ErrorCode::config_invalid, at.place + ": " + std::string{what});
    };
    if (entry.kind != DocumentKind::map) return wrong(entry, "a client is a map");
    IdentityClient client;
    for (const DocumentField& field : entry.fields) {
        const Document& value = field.value;
        if (field.name == "audiences" && value.kind == DocumentKind::list) {
            for (const Document& each : value.items)
                client.audiences.push_back(each.text);
            continue;
        }
        if (value.kind != DocumentKind::scalar || value.text.empty())
            return wrong(value, field.name + " takes a text");
        if (field.name == "id") {
            client.id = value.text;
        } else if (field.name == "secret") {
            if (value.text.size() < secret_bytes_min)
                return wrong(value, "a secret has at least 16 bytes");
            client.secret_sha256 = sha256_hex(value.text);
        } else if (field.name == "secret_sha256") {
            if (value.text.size() != 64 ||
                value.text.find_first_not_of("0123456789abcdef") != std::string::npos)
                return wrong(value, "secret_sha256 takes 64 hex digits");
            client.secret_sha256 = value.text;
        } else {
            return wrong(value, field.name + " is no field of a client");
        }
    }
    if (client.id.empty() || client.secret_sha256.empty() || client.audiences.empty())
        return wrong(entry, "a client has id, secret or secret_sha256, and audiences");
    return client;
}

}  // namespace

Result<std::vector<IdentityClient>> read_clients(const Document& document) {
    std::vector<IdentityClient> clients;
    for (const DocumentField& field : document.fields) {
        if (field.name != "clients" || field.value.kind != DocumentKind::list)
            return fail(ErrorCode::config_invalid,
                        field.place + ": the file holds 'clients', a list");
        for (const Document& entry : field.value.items) {
            auto client = read_client(entry);
            if (!client) return fail(std::move(client));
            if (std::ranges::find(clients, client->id, &IdentityClient::id) != clients.end())
                return fail(ErrorCode::config_invalid, entry.place + ": the id stands twice");
            clients.push_back(std::move(*client));
        }
    }
    return clients;
}

// ---- keys --------------------------------------------------------------------------------------

IdentityService::IdentityService(IdentitySettings settings, port::Timers& timers,
                                 const port::Clock& clock, port::Log& log, std::uint64_t seed)
    : settings_{std::move(settings)},
      clock_{clock},
      log_{log},
      random_{seed},
      timer_{timers.make()} {}

Result<std::unique_ptr<IdentityService>> IdentityService::make(IdentitySettings settings,
                                                               port::Timers& timers,
                                                               const port::Clock& clock,
                                                               port::Log& log, std::uint64_t seed) {
    std::unique_ptr<IdentityService> service{
        new IdentityService{std::move(settings), timers, clock, log, seed}};
    if (auto loaded = service->load(); !loaded) return fail(std::move(loaded));
    return service;
}

Result<void> IdentityService::load() {
    const auto text = io::read_whole_file(settings_.keys_file, keys_file_bytes_max);
    if (!text && text.error().code != ErrorCode::file_missing) return std::unexpected{text.error()};
    if (!text) return rotate();
    if (!protocol::check_json(*text))
        return fail(ErrorCode::config_invalid, settings_.keys_file + " is not JSON");
    for (const protocol::JsonView& each : protocol::JsonView{*text}["keys"].items()) {
        auto key = io::SigningKey::from_pem(each["pem"].text());
        const auto made_at = parse_rfc3339(each["made_at"].text());
        if (!key || !made_at)
            return fail(ErrorCode::config_invalid, settings_.keys_file + ": a key is not whole");
        keys_.push_back({std::move(*key), *made_at});
    }
    return keys_.size() < 2 ? rotate() : Result<void>{};
}

Result<void> IdentityService::save() const {
    std::string text;
    protocol::JsonWriter json{text};
    json.begin_object().key("keys").begin_array();
    for (const Key& each : keys_)
        json.begin_object()
            .field("made_at", to_rfc3339(each.made_at))
            .field("pem", each.key.pem())
            .end_object();
    json.end_array().end_object();
    return io::write_private_file(settings_.keys_file, text + "\n");
}

// The key that was announced signs from now on, and another is announced: whoever keeps the set for
// a while knows a key before it signs. Those before prove until their last token has ended.
Result<void> IdentityService::rotate() {
    do {
        auto key = io::SigningKey::make(settings_.algorithm);
        if (!key) return fail(std::move(key));
        keys_.insert(keys_.begin(), Key{std::move(*key), clock_.wall()});
    } while (keys_.size() < 2);
    drop_old();
    if (auto saved = save(); !saved) {
        if (keys_.size() > 2) keys_.erase(keys_.begin());
        return saved;
    }
    log_.info("another key signs",
              {{"kid", signing().id()}, {"keys", std::to_string(keys_.size())}});
    return {};
}

// One ends signing when the one after it begins to.
void IdentityService::drop_old() {
    const Duration stays = settings_.token_time + keys_kept;
    while (keys_.size() > 2 && keys_[keys_.size() - 3].made_at + stays < clock_.wall())
        keys_.pop_back();
}

void IdentityService::plan() {
    const Duration age = clock_.wall() - keys_.front().made_at;
    const Duration left =
        std::clamp<Duration>(settings_.rotate_every - age, Duration{0}, settings_.rotate_every);
    timer_->set(clock_.steady() + left, [this] {
        auto rotated = rotate();
        if (rotated) return plan();
        log_.error("there is no new key", {{"error", rotated.error().to_string()}});
        timer_->set(clock_.steady() + rotate_again, [this] { plan(); });
    });
}

void IdentityService::start() {
    plan();
}

// ---- HTTP --------------------------------------------------------------------------------------

void IdentityService::add_routes(Front& front) {
    front.add({"POST", "/oauth/token", [this](Call call) { token(std::move(call)); },
               "application/x-www-form-urlencoded"});
    front.add({"GET", "/.well-known/openid-configuration",
               [this](Call call) { call.answer(200, configuration()); }});
    front.add({"GET", "/jwks.json", [this](Call call) {
                   call.answer(200, keys(), {{"Cache-Control", "public, max-age=300"}});
               }});
}

std::string IdentityService::configuration() const {
    std::string body;
    protocol::JsonWriter json{body};
    json.begin_object()
        .field("issuer", settings_.issuer)
        .field("token_endpoint", settings_.issuer + "/oauth/token")
        .field("jwks_uri", settings_.issuer + "/jwks.json");
    const auto list = [&](std::string_view name, std::initializer_list<std::string_view> values) {
        json.key(name).begin_array();
        for (const std::string_view each : values)
            json.string(each);
        json.end_array();
    };
    list("grant_types_supported", {"client_credentials"});
    list("token_endpoint_auth_methods_supported", {"client_secret_basic", "client_secret_post"});
    list("response_types_supported", {});
    list("subject_types_supported", {"public"});
    list("id_token_signing_alg_values_supported",
         {settings_.algorithm == io::SigningAlgorithm::es256 ? "ES256" : "RS256"});
    json.end_object();
    return body;
}

std::string IdentityService::keys() const {
    std::string body;
    protocol::JsonWriter json{body};
    json.begin_object().key("keys").begin_array();
    for (const Key& each : keys_)
        json.raw(each.key.jwk());
    json.end_array().end_object();
    return body;
}

// What a token request says of itself.
struct IdentityService::Form {
    std::string grant_type;
    std::string client_id;
    std::string secret;
    std::string audience;
    bool basic = false;
    std::string fault;  // why it cannot be read

    static Form read(const Call& call) {
        Form form;
        std::string body = call.request.body;
        std::ranges::replace(body, '+', ' ');
        const auto fields = protocol::parse_target("/?" + encode_blanks(body));
        if (!fields) return faulty("the form is malformed");
        for (const auto& [name, value] : fields->query) {
            std::string* place = name == "grant_type"      ? &form.grant_type
                                 : name == "client_id"     ? &form.client_id
                                 : name == "client_secret" ? &form.secret
                                 : name == "audience"      ? &form.audience
                                                           : nullptr;
            if (place == nullptr) continue;
            if (!place->empty()) return faulty(name + " stands twice");
            *place = value;
        }
        const std::string_view header = call.header("Authorization");
        if (header.empty()) return form;
        constexpr std::string_view scheme = "Basic ";
        if (!form.secret.empty()) return faulty("two ways of saying who it is");
        const auto pair =
            header.starts_with(scheme) ? decode_basic(header.substr(scheme.size())) : std::nullopt;
        const std::size_t colon = pair ? pair->find(':') : std::string::npos;
        form.basic = true;
        if (colon == std::string::npos) return faulty("Authorization is not Basic", true);
        // RFC 6749, section 2.3.1: both are encoded as in a form.
        const auto said = protocol::parse_target("/?a=" + pair->substr(0, colon) +
                                                 "&b=" + pair->substr(colon + 1));
        if (!said || said->query.size() != 2) return faulty("Authorization is malformed", true);
        form.client_id = said->query[0].second;
        form.secret = said->query[1].second;
        return form;
    }

  private:
    static std::string encode_blanks(const std::string& text) {
        std::string out;
        for (const char c : text)
            out += c == ' ' ? std::string{"%20"} : std::string(1, c);
        return out;
    }
    static Form faulty(std::string fault, bool basic = false) {
        Form form;
        form.fault = std::move(fault);
        form.basic = basic;
        return form;
    }
};

const IdentityClient* IdentityService::authenticated(const Form& form) const {
    const std::string proof = sha256_hex(form.secret);
    const auto found = std::ranges::find(settings_.clients, form.client_id, &IdentityClient::id);
    if (found == settings_.clients.end()) return nullptr;
    return protocol::same_secret(proof, found->secret_sha256) ? &*found : nullptr;
}

void IdentityService::token(Call call) {
    const auto refuse = [&](int status, std::string_view error, std::string_view description,
                            port::HttpHeaders headers = {}) {
        outcomes_.note(error);
        if (const auto left_out = refusals_.turn(clock_.steady()))
            log_.warn("no token is issued", {{"error", std::string{error}},
                                             {"detail", std::string{description}},
                                             {"trace_id", call.trace.trace_id},
                                             {"more", std::to_string(*left_out)}});
        headers.emplace_back("Cache-Control", "no-store");
        call.answer(status, oauth_error(error, description), std::move(headers));
    };
    const Form form = Form::read(call);
    if (!form.fault.empty() && !form.basic) return refuse(400, "invalid_request", form.fault);
    const IdentityClient* client = form.fault.empty() ? authenticated(form) : nullptr;
    if (client == nullptr)
        return refuse(401, "invalid_client", "the client is not known, or its secret is wrong",
                      {{"WWW-Authenticate", "Basic realm=\"identity\""}});
    if (form.grant_type.empty()) return refuse(400, "invalid_request", "grant_type is missing");
    if (form.grant_type != "client_credentials")
        return refuse(400, "unsupported_grant_type", "client_credentials alone");
    const bool one = client->audiences.size() == 1;
    if (form.audience.empty() && !one) return refuse(400, "invalid_request", "audience is missing");
    const std::string& audience = form.audience.empty() ? client->audiences.front() : form.audience;
    if (std::ranges::find(client->audiences, audience) == client->audiences.end())
        return refuse(400, "invalid_target", "the client may not ask for this audience");
    issue(call, *client, audience);
}

void IdentityService::issue(Call& call, const IdentityClient& client, const std::string& audience) {
    const WallTime now = clock_.wall();
    std::string claims;
    protocol::JsonWriter{claims}
        .begin_object()
        .field("iss", settings_.issuer)
        .field("sub", client.id)
        .field("aud", audience)
        .field("client_id", client.id)
        .key("iat")
        .raw(seconds_of(now))
        .key("nbf")
        .raw(seconds_of(now))
        .key("exp")
        .raw(seconds_of(now + settings_.token_time))
        .field("jti", TaskId::make(now, random_).to_string())
        .end_object();
    std::string body;
    protocol::JsonWriter{body}
        .begin_object()
        .field("access_token", signing().sign(claims))
        .field("token_type", "Bearer")
        .field("expires_in", settings_.token_time / std::chrono::seconds{1})
        .end_object();
    outcomes_.note("issued");
    log_.info("token issued",
              {{"client", client.id}, {"audience", audience}, {"trace_id", call.trace.trace_id}});
    call.answer(200, std::move(body), {{"Cache-Control", "no-store"}});
}

}  // namespace taskd::pizza
