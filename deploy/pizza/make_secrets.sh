#!/bin/sh
# Makes what the services of compose.yaml and of the Kubernetes manifests share: the cluster key,
# the order service's secret, and the list of clients that knows it. What is there stays.
set -eu
dir=${1:?usage: make_secrets.sh DIR}
mkdir -p "$dir"
random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }
[ -s "$dir/cluster_key" ] || random >"$dir/cluster_key"
[ -s "$dir/order_secret" ] || random >"$dir/order_secret"
proof=$(tr -d '\n' <"$dir/order_secret" | sha256sum | cut -d ' ' -f 1)
cat >"$dir/clients.yaml" <<YAML
# Who may ask the identity service for tokens, and for whom.
clients:
  - id: order
    secret_sha256: $proof
    audiences: [payment]
YAML
# Containers run as a user of their own, who reads them as anybody does; the folder is its owner's.
chmod 0644 "$dir"/cluster_key "$dir"/order_secret "$dir"/clients.yaml
chmod 0700 "$dir"
