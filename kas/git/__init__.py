"""The only room that does Git I/O: bare mirrors, fetching, watching refs, reading blobs."""
