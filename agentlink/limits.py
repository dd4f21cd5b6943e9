"""Sizes and times on which both ends of the link must agree, and the gRPC options that follow from them.

What one project may contain is decided elsewhere (``kas.desired.model.Limits``); here is only what one message, one
websocket frame or one silent connection may be.
"""

from __future__ import annotations

KIBIBYTE = 1024
MEBIBYTE = 1024 * KIBIBYTE

MESSAGE_BYTES = 4 * MEBIBYTE
"""The largest gRPC message that either end accepts; also gRPC's own default, so that other peers get by with it."""

OBJECT_BYTES = 3 * MEBIBYTE
"""The largest single object. An API server takes 3 MiB in a request; the rest of a message is room for its envelope."""

CHUNK_BYTES = 1 * MEBIBYTE
"""How full a message of many objects is made. Larger ones gain nothing (measured) and cost memory at both ends."""

REPORTS_PER_BATCH = 1000
"""The most reports in one Report call; a batch is one transaction in kas's store."""

OUTCOMES_PER_BATCH = 20_000
"""The most object outcomes in one Report call, over all of its reports."""

FRAME_BYTES = 64 * KIBIBYTE
"""How much is read from a socket and sent as one websocket message."""

MAX_FRAME_BYTES = 256 * KIBIBYTE
"""The largest websocket message accepted, fragments together; ours are a quarter, gRPC for Go writes 32 KiB."""

QUEUED_FRAMES = 4
"""Received websocket messages held for a slow reader before reading from the network stops."""

KEEPALIVE_SECONDS = 30.0
"""Silence after which an end asks whether the other is still there. Ordinary proxies close after 60 s of it."""

KEEPALIVE_TIMEOUT_SECONDS = 20.0
"""How long the answer may take before the connection counts as dead."""

MIN_PING_SECONDS = 10.0
"""Peers that ping more often than this are sent away; GitLab's agents ping every 55 s."""

CONNECT_TIMEOUT_SECONDS = 20.0
"""How long connecting may take, TLS and websocket handshake included."""

FIRST_BYTES_SECONDS = 10.0
"""How long a new connection may be silent before its HTTP/2 begins."""

FRAME_POINTS = 5000
"""Frames that carry next to nothing, of HTTP/2 and of the websocket, that a connection may send at once; whoever sends
more is sent away. One that begins a call counts ten times (``agentlink.http2_frames``)."""

FRAME_POINTS_A_SECOND = 500
"""And every second."""

BYTES_A_POINT = 4 * KIBIBYTE
"""Sent to a connection, this earns it one frame more: whoever receives much has much to confirm."""

CALL_POINTS = 40
"""What a call that is served gives back: its frames, and those by which its answer is confirmed."""

REFUSED_CALLS = 10
"""Calls without a good token that one connection may make; an agent that is refused comes again by another one."""

PIECE_BYTES = 8 * KIBIBYTE
"""How much of what a websocket sends is worked off before it is looked whether that was too many frames."""

IDLE_SECONDS = 300.0
"""How long a connection may have no call open. An agent's always has one; others only hold descriptors."""

STREAMS_PER_CONNECTION = 100
"""Calls that one agent may have open at once."""

READ_BYTES = 8 * KIBIBYTE
"""How much kas reads from a connection at once; agents say little, and there are thousands of them."""

PENDING_CALLS = 10_000
"""Calls of all agents that wait until kas takes them; of more some are ended unseen, and twice as many are never held.

10,000 agents that are told of a push in the same second report in the same second; with gRPC's own 1,000, and with half
of this, thousands of these reports came again. Each holds at most its metadata.
"""

METADATA_BYTES = 16 * KIBIBYTE
"""The most metadata in one call."""

GrpcOptions = list[tuple[str, int]]


def _common() -> GrpcOptions:
    return [
        ("grpc.max_receive_message_length", MESSAGE_BYTES),
        ("grpc.max_send_message_length", MESSAGE_BYTES),
        ("grpc.max_metadata_size", METADATA_BYTES),
        ("grpc.keepalive_time_ms", int(KEEPALIVE_SECONDS * 1000)),
        ("grpc.keepalive_timeout_ms", int(KEEPALIVE_TIMEOUT_SECONDS * 1000)),
        # The one that counts for newer gRPC: without it a dead connection is noticed a minute later (measured).
        ("grpc.http2.ping_timeout_ms", int(KEEPALIVE_TIMEOUT_SECONDS * 1000)),
        # A connection between two calls is watched as well; the default of two pings would end it.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]


def channel_options() -> GrpcOptions:
    """Return the options of the agent's gRPC channel."""
    return [
        *_common(),
        # Each attempt dials anew: gRPC's process-wide pool would hand back a failed connection with its own backoff.
        ("grpc.use_local_subchannel_pool", 1),
        # Retrying is the link's business, where it is logged and spread.
        ("grpc.enable_retries", 0),
    ]


def server_options() -> GrpcOptions:
    """Return the options of kas's gRPC server."""
    return [
        *_common(),
        ("grpc.http2.min_ping_interval_without_data_ms", int(MIN_PING_SECONDS * 1000)),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", int(MIN_PING_SECONDS * 1000)),
        ("grpc.max_concurrent_streams", STREAMS_PER_CONNECTION),
        ("grpc.server.max_pending_requests", PENDING_CALLS),
        ("grpc.server.max_pending_requests_hard_limit", 2 * PENDING_CALLS),
        ("grpc.server_handshake_timeout_ms", int(FIRST_BYTES_SECONDS * 1000)),
        # gRPC makes room for as much as a connection brought lately, and keeps it while nothing comes: after one large
        # report that is 64 KiB for each of thousands, otherwise 8.
        ("grpc.experimental.tcp_max_read_chunk_size", READ_BYTES),
        ("grpc.max_connection_idle_ms", int(IDLE_SECONDS * 1000)),
        # Otherwise a second kas on the same port starts without a word and takes half of the agents.
        ("grpc.so_reuseport", 0),
    ]
