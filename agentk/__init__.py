"""The agent in the cluster: it applies what kas streams and reports what became of it."""
