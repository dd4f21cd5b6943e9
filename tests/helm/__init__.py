"""The real Helm, for the tests of the charts: ``binary`` finds or builds it."""
