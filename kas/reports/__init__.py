"""From the stream of reports to the store."""
