"""From a new revision to the stream of each agent that wants it."""
