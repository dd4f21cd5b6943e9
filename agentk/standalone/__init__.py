"""``agentk apply``: the engine on files of one's own, with no kas."""
