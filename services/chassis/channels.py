"""How the services of a site call each other, which several replicas may answer."""

from __future__ import annotations

import json

# What is asked of identity may be asked twice.
_SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{"service": "motcua.identity.v1.IdentityService"}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.05s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                # With the second one gRPC ends what a stopping server did not take: https://github.com/grpc/grpc/issues/41785.
                "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
            },
        }
    ],
}
# gRPC itself would wait up to two minutes before it tries a server again that was away, also on behalf of a new channel to it.
RECONNECT = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # What gRPC calls so is how long one try may take: on a busy machine, mutual TLS asks for its time.
    ("grpc.min_reconnect_backoff_ms", 5000),
)
OPTIONS = (
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    *RECONNECT,
    # A name's addresses change when a replica is replaced.
    ("grpc.dns_min_time_between_resolutions_ms", 1000),
    # A machine that vanished says nothing. Not more often than the servers allow.
    ("grpc.keepalive_time_ms", 15_000),
    ("grpc.keepalive_timeout_ms", 3_000),
)
