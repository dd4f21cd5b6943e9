"""Kinds beside workloads whose status says whether they can be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentk.health.model import Health, current, failed, in_progress
from agentk.health.rules.fields import conditions, section, text

if TYPE_CHECKING:
    from collections.abc import Mapping


def persistent_volume_claim(obj: Mapping[str, object]) -> Health:
    """A claim is current when it is bound."""
    phase = text(section(obj, "status"), "phase", "unknown")
    if phase == "Bound":
        return current("is bound")
    if phase == "Lost":
        return failed("has lost its volume")
    return in_progress(f"is not bound, its phase is {phase}")


def service(obj: Mapping[str, object]) -> Health:
    """A Service is current when it has an address inside the cluster, as in kstatus."""
    spec = section(obj, "spec")
    if text(spec, "type") == "LoadBalancer" and not text(spec, "clusterIP"):
        return in_progress("has no cluster IP yet")
    return current("is ready")


def pod_disruption_budget(obj: Mapping[str, object]) -> Health:
    """A budget is current when its controller has computed it."""
    if "observedGeneration" not in section(obj, "status"):
        return in_progress("is not computed yet")
    return current("is computed")


def custom_resource_definition(obj: Mapping[str, object]) -> Health:
    """A CRD is current when its kind is served."""
    known = conditions(obj)
    names = known.get("NamesAccepted")
    if names and names.status == "False":
        return failed(f"its names are not accepted: {names}")
    established = known.get("Established")
    if established is None or (not established.holds and established.reason == "Installing"):
        return in_progress("is being installed")
    return current("is established") if established.holds else failed(f"is not established: {established}")


def namespace(obj: Mapping[str, object]) -> Health:
    """A Namespace is current when it is active."""
    phase = text(section(obj, "status"), "phase", "Active")
    return current("is active") if phase == "Active" else in_progress(f"is {phase}")


def api_service(obj: Mapping[str, object]) -> Health:
    """An APIService is current when the server behind it answers, which takes until its Pods are ready."""
    available = conditions(obj).get("Available")
    if available is None:
        return in_progress("has not been checked yet")
    return current("is available") if available.holds else in_progress(f"is not available: {available}")
