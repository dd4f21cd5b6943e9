"""Which of an agent's replicas writes: one at a time, and every other one waits for its turn."""
