// The cluster key on requests of ours. Apart from the front, so that a client needs no server.
#include "taskd/service/http_front.hpp"

namespace taskd::service {

void add_key(port::HttpHeaders& headers, const protocol::ClusterKey& key) {
    if (!key.empty()) headers.emplace_back("Authorization", "Bearer " + key.secret());
}

}  // namespace taskd::service
