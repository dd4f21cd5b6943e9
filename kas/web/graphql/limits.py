"""What a query may cost, decided before it is run and, as far as recursion goes, before it is even parsed. Pure.

Cost is what the query makes kas read: a field that reads the store counts as many times as the pages around it have
lines. A change counts ``CHANGE_COST``. Introspection reads nothing; graphql-core bounds it by a rule of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphql import GraphQLError, Lexer, Source, TokenKind
from graphql.language import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    OperationType,
    VariableNode,
)

from kas.web.graphql.pages import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphql.language import DocumentNode, SelectionSetNode

MAX_TOKENS: Final = 2_000
MAX_NESTING: Final = 40
"""Brackets within brackets, of any kind. The introspection query of common tools has 13."""
MAX_DEPTH: Final = 12
MAX_ALIASES: Final = 30
MAX_COST: Final = 1_000
CHANGE_COST: Final = 20

_OPENING: Final = frozenset({TokenKind.BRACE_L, TokenKind.PAREN_L, TokenKind.BRACKET_L})
_CLOSING: Final = frozenset({TokenKind.BRACE_R, TokenKind.PAREN_R, TokenKind.BRACKET_R})

_PAGES: Final = frozenset({"clusterAgents", "tokens", "connections"})
_READS: Final = frozenset({"project", "clusterAgent", "clusterAgents", "tokens"})


def check_text(text: str) -> None:
    """Refuse a text that would be too much to parse.

    Raises:
        GraphQLError: it is too long or too deep, or is no GraphQL.
    """
    lexer = Lexer(Source(text))
    nesting = tokens = 0
    while (token := lexer.advance()).kind is not TokenKind.EOF:
        tokens += 1
        nesting += (token.kind in _OPENING) - (token.kind in _CLOSING)
        if tokens > MAX_TOKENS:
            raise GraphQLError(f"the query has more than {MAX_TOKENS} tokens: ask for less at once")
        if nesting > MAX_NESTING:
            raise GraphQLError(f"the query nests more than {MAX_NESTING} levels of brackets")


def check_document(document: DocumentNode, variables: Mapping[str, object]) -> None:
    """Refuse a document of which some operation asks for too much.

    Raises:
        GraphQLError: which limit it exceeds.
    """
    measure = _Measure(document, variables)
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode):
            change = node.operation is OperationType.MUTATION
            depth, aliases, cost = measure.of(node.selection_set, change=change)
            if depth > MAX_DEPTH:
                raise GraphQLError(f"the query is {depth} fields deep, and {MAX_DEPTH} are allowed")
            if aliases > MAX_ALIASES:
                raise GraphQLError(f"the query has {aliases} aliases, and {MAX_ALIASES} are allowed")
            if cost > MAX_COST:
                raise GraphQLError(
                    f"the query costs {cost} reads, and {MAX_COST} are allowed: ask for smaller pages (first:)"
                )


_Sums = tuple[int, int, int]
"""Depth, aliases and cost."""


class _Measure:
    def __init__(self, document: DocumentNode, variables: Mapping[str, object]) -> None:
        self._variables = variables
        self._fragments = {
            node.name.value: node.selection_set
            for node in document.definitions
            if isinstance(node, FragmentDefinitionNode)
        }
        # A fragment costs the same wherever it is used: measured once, or fragments in fragments would take for ever.
        self._known: dict[str, _Sums] = {}
        self._open: set[str] = set()

    def of(self, selections: SelectionSetNode | None, *, change: bool = False) -> _Sums:
        depth = aliases = cost = 0
        for node in selections.selections if selections else ():
            if isinstance(node, FieldNode):
                inner = self._field(node, change=change)
            elif isinstance(node, InlineFragmentNode):
                inner = self.of(node.selection_set, change=change)
            elif isinstance(node, FragmentSpreadNode):
                inner = self._fragment(node.name.value, change=change)
            else:
                continue
            depth, aliases, cost = max(depth, inner[0]), aliases + inner[1], cost + inner[2]
        return depth, aliases, cost

    def _field(self, node: FieldNode, *, change: bool) -> _Sums:
        name = node.name.value
        aliases = int(node.alias is not None)
        if name.startswith("__"):
            return 1, aliases, 0
        below = self.of(node.selection_set)
        own = CHANGE_COST if change else int(name in _READS)
        return below[0] + 1, below[1] + aliases, own + below[2] * (self._page(node) if name in _PAGES else 1)

    def _page(self, node: FieldNode) -> int:
        asked = [
            self._number(argument.value)
            for argument in node.arguments or ()
            if argument.name.value in {"first", "last"}
        ]
        return min([PAGE_SIZE, *(size for size in asked if size is not None and size >= 0)])

    def _number(self, value: object) -> int | None:
        if isinstance(value, IntValueNode):
            # More digits than any page has are as good as none.
            return int(value.value) if len(value.value) < len(str(PAGE_SIZE)) + 1 else None
        if isinstance(value, VariableNode):
            given = self._variables.get(value.name.value)
            return given if type(given) is int else None
        return None

    def _fragment(self, name: str, *, change: bool) -> _Sums:
        if name in self._open:
            raise GraphQLError(f"the fragment {name} contains itself")
        if name not in self._known:
            self._open.add(name)
            self._known[name] = self.of(self._fragments.get(name), change=change)
            self._open.discard(name)
        return self._known[name]
