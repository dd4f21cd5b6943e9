"""A real Gitea for tests."""
