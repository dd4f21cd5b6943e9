"""Helpers that tests, benchmarks and the demo share: processes, waiting, Go builds, Git servers, a cluster client."""
