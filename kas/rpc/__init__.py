"""The agent listener: gRPC services, websocket tunnel, authentication."""

import os

# Read when grpc is first imported, which is below this. Its fork handlers help nobody here (children, such as git, only
# ever exec), and write to standard error, past the log.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
