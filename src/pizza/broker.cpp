#include "taskd/pizza/broker.hpp"

#include "taskd/protocol/json.hpp"
#include "taskd/protocol/problem.hpp"

namespace taskd::pizza {

void Broker::ask(const std::string& method, const std::string& target, std::string body,
                 Duration timeout, std::function<void(Result<Answer>)> then) {
    port::HttpRequest request{method, target, {}, std::move(body)};
    if (!key_.empty()) request.headers.emplace_back("Authorization", "Bearer " + key_);
    if (!request.body.empty()) request.headers.emplace_back("Content-Type", "application/json");
    http_.send(url_, std::move(request), timeout,
               [then = std::move(then)](Result<port::HttpResponse> response) {
                   if (!response) return then(fail(std::move(response)));
                   if (response->status < 200 || response->status > 299)
                       return then(std::unexpected{
                           protocol::parse_problem(response->body, response->status)});
                   if (!response->body.empty() && !protocol::check_json(response->body))
                       return then(fail(ErrorCode::bad_answer, "not JSON"));
                   then(Answer{response->status, std::move(response->body)});
               });
}

}  // namespace taskd::pizza
