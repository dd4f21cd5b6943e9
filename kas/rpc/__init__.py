"""The agent listener: gRPC services, websocket tunnel, authentication."""
