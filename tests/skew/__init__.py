"""The wire contract as it was in the first release, for whoever must go on speaking with it.

``agentlink_v1_0.proto`` is a record: it never changes. A later release adds a file of its own beside it.
"""
