"""How what people ordered reads: suspensions and pins in words. Pure, as ``kas.cli.views``, which uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kas.web.hold_payloads import Hold
    from kas.web.operation_payloads import Ordered

COMMIT_DIGITS = 8


def who(order: Ordered) -> str:
    """Name what an order is about."""
    if order["project"] is None:
        return f"agent {order['agent']} with all its projects"
    return f"project {order['project']} on agent {order['agent']}"


def suspended_words(hold: Hold) -> str:
    """Write a suspension: ``suspended by alice until 2026-12-01T00:00:00.000Z: freeze``."""
    until = f" until {hold['until']}" if hold["until"] else ""
    return f"suspended by {hold['by']}{until}{_reason(hold)}"


def pinned_words(hold: Hold) -> str:
    """Write a pin, with the newest revision that could be had: ``pinned to 3f2a1b4c by alice (newest is 844d9047)``."""
    newer = hold["available"] and hold["available"] != hold["commit"]
    newest = f" (newest is {hold['available'][:COMMIT_DIGITS]})" if newer else ""
    return f"pinned to {hold['commit'][:COMMIT_DIGITS]} by {hold['by']}{newest}{_reason(hold)}"


def _reason(hold: Hold) -> str:
    return f": {hold['reason']}" if hold["reason"] else ""
