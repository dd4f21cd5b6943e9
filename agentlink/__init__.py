"""What agentk and kas must agree on, and nothing else: generated wire code, object references, tunnel, limits, logs.

A module moves in here only when both programs import it.
"""

__version__ = "0.1.0"
"""The version of both programs; the package's own is read from here."""
