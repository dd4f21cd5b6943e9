"""Reports on their way up to kas, kept until kas says they are stored."""
