"""A real Gitea for tests: what a forge does to kas is tried on one.

``binary`` builds it, ``server`` runs it, ``client`` is what tests do with it, ``fixtures`` serves pytest.
"""
