"""The queries and changes, and the schema made of them.

What a person can repair comes back in a change's ``errors``, as GitLab does it; what they may not see or do, and what
is no fault of theirs, is a GraphQL error. Not ``from __future__ import annotations``, as in ``types``.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any

import strawberry
from graphql import GraphQLError
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext
from strawberry.types.scalar import ScalarDefinition

from agentlink.logs import get_logger
from kas.store.errors import NotFound, StoreError
from kas.web.errors import ApiError, of_store
from kas.web.graphql import ids
from kas.web.graphql.types import ClusterAgent, ClusterAgentToken, Info, Project, find_project
from kas.web.queries import new_agent, new_token
from kas.web.times import time_of

NOT_YOURS = (
    "The resource that you are attempting to access does not exist or you don't have permission to perform this action"
)
"""In GitLab's words, which scripts look for."""

log = get_logger("web")


@strawberry.type(description="What can be asked.")
class Query:
    """What can be asked."""

    @strawberry.field(description="A project by its full path; null where kas has none for you.")
    async def project(self, info: Info, full_path: strawberry.ID) -> Project | None:
        """See the schema."""
        return await find_project(info.context, full_path)


@strawberry.input(description="Input of createClusterAgent.")
class CreateClusterAgentInput:
    """Input of createClusterAgent."""

    project_path: strawberry.ID = strawberry.field(description="Full path of the configuration project.")
    name: str = strawberry.field(description="Name of the agent.")
    client_mutation_id: str | None = None


@strawberry.type(description="Answer of createClusterAgent.")
class CreateClusterAgentPayload:
    """Answer of createClusterAgent."""

    cluster_agent: ClusterAgent | None = None
    errors: list[str] = strawberry.field(default_factory=list)
    client_mutation_id: str | None = None


@strawberry.input(description="Input of clusterAgentDelete.")
class ClusterAgentDeleteInput:
    """Input of clusterAgentDelete."""

    id: ids.ClustersAgentID = strawberry.field(description="Global ID of the agent.")
    client_mutation_id: str | None = None


@strawberry.type(description="Answer of clusterAgentDelete.")
class ClusterAgentDeletePayload:
    """Answer of clusterAgentDelete."""

    errors: list[str] = strawberry.field(default_factory=list)
    client_mutation_id: str | None = None


@strawberry.input(description="Input of clusterAgentTokenCreate.")
class ClusterAgentTokenCreateInput:
    """Input of clusterAgentTokenCreate."""

    cluster_agent_id: ids.ClustersAgentID = strawberry.field(description="Global ID of the agent.")
    name: str = strawberry.field(default="", description="Name of the token.")
    description: str | None = strawberry.field(default=None, description="What it is for.")
    client_mutation_id: str | None = None


@strawberry.type(description="Answer of clusterAgentTokenCreate.")
class ClusterAgentTokenCreatePayload:
    """Answer of clusterAgentTokenCreate."""

    secret: str | None = strawberry.field(default=None, description="Shown this once; kas keeps only a hash.")
    token: ClusterAgentToken | None = None
    errors: list[str] = strawberry.field(default_factory=list)
    client_mutation_id: str | None = None


@strawberry.input(description="Input of clusterAgentTokenRevoke.")
class ClusterAgentTokenRevokeInput:
    """Input of clusterAgentTokenRevoke."""

    id: ids.ClustersAgentTokenID = strawberry.field(description="Global ID of the token.")
    client_mutation_id: str | None = None


@strawberry.type(description="Answer of clusterAgentTokenRevoke.")
class ClusterAgentTokenRevokePayload:
    """Answer of clusterAgentTokenRevoke."""

    errors: list[str] = strawberry.field(default_factory=list)
    client_mutation_id: str | None = None


@strawberry.type(description="What can be changed.")
class Mutation:
    """What can be changed."""

    @strawberry.mutation(description="Register an agent.")
    async def create_cluster_agent(self, info: Info, input: CreateClusterAgentInput) -> CreateClusterAgentPayload:  # noqa: A002 -- GitLab's name
        """See the schema."""
        try:
            new = new_agent(str(input.project_path), input.name)
            record = await info.context.registration.create_agent(info.context.caller, new)
            info.context.warnings.extend(await info.context.registration.doubts(record.project))
        except (ApiError, StoreError) as error:
            return CreateClusterAgentPayload(errors=_repairable(error), client_mutation_id=input.client_mutation_id)
        return CreateClusterAgentPayload(
            cluster_agent=ClusterAgent(record=record), client_mutation_id=input.client_mutation_id
        )

    @strawberry.mutation(description="Remove an agent with its tokens; what it applied stays in its cluster.")
    async def cluster_agent_delete(self, info: Info, input: ClusterAgentDeleteInput) -> ClusterAgentDeletePayload:  # noqa: A002 -- GitLab's name
        """See the schema."""
        errors = await _tried(info.context.registration.delete_agent(info.context.caller, input.id))
        return ClusterAgentDeletePayload(errors=errors, client_mutation_id=input.client_mutation_id)

    @strawberry.mutation(description="Make a token of an agent.")
    async def cluster_agent_token_create(
        self,
        info: Info,
        input: ClusterAgentTokenCreateInput,  # noqa: A002 -- GitLab's name
    ) -> ClusterAgentTokenCreatePayload:
        """See the schema."""
        try:
            new = new_token(input.name, input.description or "")
            made = await info.context.registration.create_token(info.context.caller, input.cluster_agent_id, new)
        except (ApiError, StoreError) as error:
            return ClusterAgentTokenCreatePayload(
                errors=_repairable(error), client_mutation_id=input.client_mutation_id
            )
        return ClusterAgentTokenCreatePayload(
            secret=made.secret,
            token=ClusterAgentToken(record=made.record, agent=made.agent),
            client_mutation_id=input.client_mutation_id,
        )

    @strawberry.mutation(description="Revoke a token; connections that use it end at once.")
    async def cluster_agent_token_revoke(
        self,
        info: Info,
        input: ClusterAgentTokenRevokeInput,  # noqa: A002 -- GitLab's name
    ) -> ClusterAgentTokenRevokePayload:
        """See the schema."""
        errors = await _tried(info.context.registration.revoke_token(info.context.caller, input.id))
        return ClusterAgentTokenRevokePayload(errors=errors, client_mutation_id=input.client_mutation_id)


async def _tried(change: Awaitable[object]) -> list[str]:
    try:
        await change
    except (ApiError, StoreError) as error:
        return _repairable(error)
    return []


def _repairable(error: ApiError | StoreError) -> list[str]:
    """Return what a person can repair as texts; raise the rest again."""
    answer = error if isinstance(error, ApiError) else of_store(error)
    if answer.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT}:
        return [f"{answer.message}: {answer.hint}" if answer.hint else answer.message]
    raise error


def error_of(error: GraphQLError) -> dict[str, object]:
    """Write an error as an answer has it; a defect is logged and not shown."""
    cause = error.original_error
    if cause is None or isinstance(cause, GraphQLError):
        return dict(error.formatted)
    code, message, hint = "InternalError", "Internal server error", "the log of kas has the details"
    match cause:
        case NotFound():
            code, message, hint = "NotFound", NOT_YOURS, ""
        case ApiError(status=HTTPStatus.FORBIDDEN):
            code, message, hint = cause.reason, NOT_YOURS, cause.hint
        case ApiError() | StoreError():
            answer = cause if isinstance(cause, ApiError) else of_store(cause)
            code, message, hint = answer.reason, answer.message, answer.hint
        case _:
            log.error("A GraphQL request failed on a defect", exc_info=cause, path=error.path)
    return {**error.formatted, "message": message, "extensions": {"code": code, "hint": hint}}


def _scalar(
    name: str, description: str, write: Callable[[Any], object], read: Callable[[Any], object]
) -> ScalarDefinition:
    return strawberry.scalar(name=name, description=description, serialize=write, parse_value=read)


class _Schema(strawberry.Schema):
    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Log nothing here: what callers get wrong is no news, and ``error_of`` logs defects."""


SCHEMA = _Schema(
    query=Query,
    mutation=Mutation,
    config=StrawberryConfig(
        scalar_map={
            datetime: _scalar("Time", "Time as RFC 3339 in UTC.", time_of, datetime.fromisoformat),
            ids.BigInt: _scalar("BigInt", "A number that may not fit into JSON's, as text.", str, int),
            ids.ClustersAgentID: _scalar(
                "ClustersAgentID",
                "Global ID of an agent: gid://gitlab/Clusters::Agent/43.",
                partial(ids.global_id, ids.AGENT),
                partial(ids.read_global_id, ids.AGENT),
            ),
            ids.ClustersAgentTokenID: _scalar(
                "ClustersAgentTokenID",
                "Global ID of an agent's token: gid://gitlab/Clusters::AgentToken/7.",
                partial(ids.global_id, ids.AGENT_TOKEN),
                partial(ids.read_global_id, ids.AGENT_TOKEN),
            ),
        }
    ),
)
