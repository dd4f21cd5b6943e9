"""One file a step. A released step never changes."""
