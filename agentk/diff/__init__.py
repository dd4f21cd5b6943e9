"""What a revision would change, found out by server-side dry run, for people to read before it happens."""
