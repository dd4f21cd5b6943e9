"""Receiving snapshots from kas and driving each project towards the newest one."""
