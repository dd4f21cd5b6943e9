"""What may be chosen when agentk is installed. One model for ``kas generate --values``, the API and the Helm chart.

Every value is checked for what Kubernetes or agentk would refuse later, when the error would stand in some pod's log.
Values are data to the very end, so none can break out of the YAML; the checks are there to help.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping  # noqa: TC003 -- pydantic reads the annotations of this module
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from agentlink import __version__
from agentlink.address import KasAddress, parse_kas_address
from agentlink.agent_token import TokenError, check_token

DEFAULT_NAMESPACE = "gitlab-kubernetes-agent"

MOST_REPLICAS = 9
"""One writes and the others stand by, each with a connection to kas and a watch: more is a slip of the finger."""

_PREFIX = r"^([a-z0-9]([-a-z0-9]{0,29}))?$"
_LABEL = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
_SUBDOMAIN = r"^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$"
_OPTIONAL_SUBDOMAIN = r"^([a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?)?$"
_KIND = r"^[a-z][a-z0-9]{0,62}(\.[a-z0-9]([-.a-z0-9]{0,188}[a-z0-9])?)?$"
_ACCOUNT = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$"
_IMAGE = (
    r"^([A-Za-z0-9]([-.A-Za-z0-9]*[A-Za-z0-9])?(:[0-9]{1,5})?/)?"
    r"[a-z0-9]+([-._]+[a-z0-9]+)*(/[a-z0-9]+([-._]+[a-z0-9]+)*)*"
    r"(:[A-Za-z0-9_][-.A-Za-z0-9_]{0,127})?(@sha256:[0-9a-f]{64})?$"
)
_TAG = r"^([A-Za-z0-9_][-.A-Za-z0-9_]{0,127})?$"
_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"

_EXPECTED = {
    _PREFIX: "at most 30 lower-case letters, digits and dashes, such as west-",
    _LABEL: "1 to 63 lower-case letters, digits and dashes, with a letter or digit first and last",
    _SUBDOMAIN: "lower-case letters, digits, dashes and dots, with a letter or digit first and last",
    _OPTIONAL_SUBDOMAIN: "lower-case letters, digits, dashes and dots, with a letter or digit first and last",
    _KIND: "a kind as `kubectl api-resources` names it: deployments.apps, or configmaps where there is no group",
    _ACCOUNT: "a service account with its namespace, such as tenant-a/deployer",
    _IMAGE: "an image such as registry.example.com/group/agentk:1.0 or agentk@sha256:…",
    _TAG: "a version as an image's tag has it, such as 1.0.0",
    _VARIABLE: "the name of an environment variable",
}


def _address(text: str) -> str:
    if text:
        parse_kas_address(text)
    return text.strip()


def _token(text: str) -> str:
    if not text:
        return text
    try:
        return check_token(text, source="it")
    except TokenError as error:
        raise ValueError(str(error)) from error


def _certificates(text: str) -> str:
    if not text:
        return text
    if "PRIVATE KEY" in text:
        raise ValueError("it holds a private key, and a ConfigMap is no place for one: give only certificates")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError, TypeError) as error:  # TypeError: not ASCII
        raise ValueError("it holds no certificates in PEM form (-----BEGIN CERTIFICATE-----)") from error
    return text.strip() + "\n"


_RESOURCES: Mapping[str, Any] = {
    "requests": {"cpu": "50m", "memory": "128Mi"},
    "limits": {"memory": "1Gi"},
}


def _resources(given: object) -> object:
    """Lay what is given over the defaults as Helm does: section by section, null takes away."""
    if not isinstance(given, dict):
        return given
    merged: dict[str, object] = {**_RESOURCES, **given}
    for name, value in given.items():
        if isinstance(value, dict) and isinstance(default := _RESOURCES.get(name), dict):
            merged[name] = {key: amount for key, amount in {**default, **value}.items() if amount is not None}
    return {name: value for name, value in merged.items() if value is not None}


Port = Annotated[int, Field(ge=1, le=65535)]
Label = Annotated[str, StringConstraints(pattern=_LABEL)]
Account = Annotated[str, StringConstraints(pattern=_ACCOUNT)]
ResourceName = Annotated[str, StringConstraints(pattern=_KIND)]


class _Section(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        hide_input_in_errors=True,
    )


class Scope(_Section):
    """What agentk may touch. Only empty lists: everything."""

    namespaces: list[Label] = Field(
        default=[], description="Only in these namespaces, which must exist, and nothing that has no namespace."
    )
    kinds: list[ResourceName] = Field(
        default=[],
        description="Only these, as `kubectl api-resources` names them: deployments.apps, configmaps. ConfigMaps are"
        " always among them: inventories are kept there.",
    )
    impersonate: list[Account] = Field(
        default=[],
        description="Act as these service accounts (namespace/name) for the projects that say so; without namespaces"
        " or kinds, do nothing as itself but look at their namespaces.",
    )


class NetworkPolicyValues(_Section):
    """What may talk to agentk, and agentk to. By port: a NetworkPolicy knows no host names."""

    enabled: bool = Field(default=True, description="Whether there is one.")
    dns_ports: list[Port] = Field(default=[53, 5353], description="Where name servers listen; OpenShift's at 5353.")
    api_server_ports: list[Port] = Field(
        default=[443, 6443], description="Where the API server listens, as a pod sees it and as its machine has it."
    )
    other_ports: list[Port] = Field(default=[], description="Further TCP ports to reach, such as a proxy's.")


class Values(_Section):
    """Everything that may be chosen."""

    kas_address: Annotated[str, AfterValidator(_address)] = Field(
        default="",
        description="Where agents reach kas: wss://kas.example.com, or ws://, grpcs://, grpc://. Needed.",
        json_schema_extra={"pattern": r"^\s*((wss?|grpcs?)://\S+\s*)?$"},
    )
    token: Annotated[str, AfterValidator(_token)] = Field(
        default="",
        repr=False,
        description="The agent's token, as `kas token create` printed it.",
    )
    existing_secret: Annotated[str, StringConstraints(pattern=_OPTIONAL_SUBDOMAIN)] = Field(
        default="", description="Name of a Secret that is there already, with the token as `token`; instead of token."
    )
    ca_cert: Annotated[str, AfterValidator(_certificates)] = Field(
        default="",
        description="Certificates (PEM) to trust for kas, besides the system's.",
    )
    name_prefix: Annotated[str, StringConstraints(pattern=_PREFIX)] = Field(
        default="", description="Put before the name of every object but the namespace: several agents in one cluster."
    )
    image: Annotated[str, StringConstraints(pattern=_IMAGE)] = Field(
        default="agentk", description="agentk's image, with its registry; without a tag or digest agentVersion is it."
    )
    agent_version: Annotated[str, StringConstraints(pattern=_TAG)] = Field(
        default="", description="The image's tag; that of the kas which generates, or of the chart, otherwise."
    )
    image_pull_secrets: list[Annotated[str, StringConstraints(pattern=_SUBDOMAIN)]] = Field(
        default=[], description="Names of Secrets that open the image's registry."
    )
    replicas: Annotated[int, Field(ge=0, le=MOST_REPLICAS)] = Field(
        default=1, description="0 to pause. Of several, one writes, and another takes over at once when it ends."
    )
    rbac: bool = Field(default=True, description="Whether roles and bindings are made; without, bring your own.")
    scope: Scope = Field(default=Scope(), description=Scope.__doc__)
    network_policy: NetworkPolicyValues = Field(default=NetworkPolicyValues(), description=NetworkPolicyValues.__doc__)
    log_level: Literal["debug", "info", "warn", "error"] = Field(
        default="info", description="Until the agent's configuration says another."
    )
    env: dict[Annotated[str, StringConstraints(pattern=_VARIABLE)], str] = Field(
        default={}, description="Environment variables, such as HTTPS_PROXY."
    )
    resources: Annotated[dict[str, Any], BeforeValidator(_resources)] = Field(
        default={**_RESOURCES},
        description="As in a container. No limit of CPU: throttled, it would answer its probes late.",
    )
    pod_labels: dict[str, str] = Field(default={}, description="More labels for the pod.")
    pod_annotations: dict[str, str] = Field(default={}, description="Annotations for the pod.")
    node_selector: dict[str, str] = Field(default={}, description="As in a pod.")
    tolerations: list[dict[str, Any]] = Field(default=[], description="As in a pod.")
    affinity: dict[str, Any] = Field(default={}, description="As in a pod.")
    priority_class_name: Annotated[str, StringConstraints(pattern=_OPTIONAL_SUBDOMAIN)] = Field(
        default="", description="As in a pod."
    )

    @model_validator(mode="after")
    def _together(self) -> Self:
        _, tagged = split_image(self.image)
        if tagged and self.agent_version:
            raise ValueError(f"agentVersion: image {self.image} already says which version; leave one of them out")
        return self

    @property
    def address(self) -> KasAddress:
        """The address of kas, read."""
        return parse_kas_address(self.kas_address)

    @property
    def full_image(self) -> str:
        """The image with its tag or digest."""
        _, tagged = split_image(self.image)
        return self.image if tagged else f"{self.image}:{self.agent_version or __version__}"


def split_image(image: str) -> tuple[str, str]:
    """Return the repository of an image, and its tag or digest, empty when it names none."""
    name, at, digest = image.partition("@")
    path, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    return f"{path}{slash}{last}", f"{tag}{at}{digest}" if colon or at else ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with one value; ``key`` is its path, such as ``scope.kinds[2]``."""

    key: str
    message: str


class ValuesError(ValueError):
    """Values that cannot be used. No text quotes a value: the token is one of them."""

    def __init__(self, *findings: Finding) -> None:
        super().__init__("; ".join(f"{finding.key}: {finding.message}" for finding in findings))
        self.findings = findings


def read_values(given: Mapping[str, Any]) -> Values:
    """Check what was given, by the names that ``values.yaml`` has.

    Raises:
        ValuesError: with everything that is wrong.
    """
    try:
        values = Values.model_validate(given)
    except ValidationError as error:
        raise ValuesError(*map(_finding, error.errors(include_url=False, include_input=False))) from None
    _complete(values)
    return values


def check_namespace(name: str) -> str:
    """Return the name of the namespace to install in.

    Raises:
        ValuesError: it cannot be one.
    """
    try:
        Scope(namespaces=[name])
    except ValidationError:
        raise ValuesError(Finding("namespace", f"expected {_EXPECTED[_LABEL]}")) from None
    return name


def _complete(values: Values) -> None:
    """Raise ValuesError where values are all right by themselves and not together."""
    findings = []
    if not values.kas_address:
        findings.append(Finding("kasAddress", "needed: where agents reach kas, such as wss://kas.example.com"))
    if bool(values.token) == bool(values.existing_secret):
        findings.append(
            Finding("token", "is given beside existingSecret: leave one of them out")
            if values.token
            else Finding("token", "needed: the line that `kas token create` printed, or existingSecret")
        )
    if findings:
        raise ValuesError(*findings)


def _finding(error: Mapping[str, Any]) -> Finding:
    key = ""
    for part in error["loc"]:
        key += f"[{part}]" if isinstance(part, int) else f"{'.' if key else ''}{part}"
    match error["type"]:
        case "extra_forbidden":
            return Finding(key, "there is no such value")
        case "string_pattern_mismatch":
            return Finding(key, f"expected {_EXPECTED[error['ctx']['pattern']]}")
        case "value_error" if not key:
            name, _, message = str(error["ctx"]["error"]).partition(": ")
            return Finding(name, message)
        case "value_error":
            return Finding(key, str(error["ctx"]["error"]))
        case _:
            return Finding(key, error["msg"][:1].lower() + error["msg"][1:])
