#!/usr/bin/env bash
# synapse.sh DIR PORT: a Synapse from PyPI on 127.0.0.1:PORT with SQLite in DIR, open registration, no
# rate limits: the peer that Pli is compared with. Prints its process number; ends with `kill`.
set -euo pipefail
dir=$1 port=$2
venv=${PLI_INTEROP_VENV:?set by tests/interop/run}
mkdir -p "$dir"
if [ ! -f "$dir/homeserver.yaml" ]; then
    "$venv/bin/python" -m synapse.app.homeserver --server-name "localhost:$port" \
        --config-path "$dir/homeserver.yaml" --generate-config --report-stats=no \
        --data-directory "$dir" >/dev/null
    cat > "$dir/bench.yaml" <<YAML
listeners:
  - port: $port
    bind_addresses: ['127.0.0.1']
    type: http
    tls: false
    resources: [{names: [client, federation]}]
enable_registration: true
enable_registration_without_verification: true
presence: {enabled: false}
suppress_key_server_warning: true
trusted_key_servers: []
rc_message: {per_second: 100000, burst_count: 100000}
rc_registration: {per_second: 100000, burst_count: 100000}
rc_login:
  address: {per_second: 100000, burst_count: 100000}
  account: {per_second: 100000, burst_count: 100000}
  failed_attempts: {per_second: 100000, burst_count: 100000}
rc_joins:
  local: {per_second: 100000, burst_count: 100000}
  remote: {per_second: 100000, burst_count: 100000}
rc_room_creation: {per_second: 100000, burst_count: 100000}
rc_joins_per_room: {per_second: 100000, burst_count: 100000}
rc_invites:
  per_room: {per_second: 100000, burst_count: 100000}
  per_user: {per_second: 100000, burst_count: 100000}
  per_issuer: {per_second: 100000, burst_count: 100000}
YAML
    sed -i 's/level: INFO/level: WARNING/' "$dir"/*.log.config
fi
cd "$dir"
"$venv/bin/python" -m synapse.app.homeserver -c "$dir/homeserver.yaml" -c "$dir/bench.yaml" \
    >"$dir/stdout.log" 2>&1 &
pid=$!
echo "$pid" > "$dir/pid"
for _ in $(seq 600); do
    if curl -fsS "http://127.0.0.1:$port/_matrix/client/versions" >/dev/null 2>&1; then
        echo "$pid"
        exit 0
    fi
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
done
tail -20 "$dir/stdout.log" >&2
exit 1
