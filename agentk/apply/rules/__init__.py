"""One rule, one file, one table test. A rule is a pure function; it never calls the cluster."""
