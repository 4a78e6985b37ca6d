"""Reading the packaged YAML, so that a mistake in a file is named with its file and its line."""

from collections.abc import Hashable
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Any, Generic, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

Loc = tuple[int | str, ...]


class BrokenFile(Exception):  # noqa: N818 - the file is broken, the program is not
    """A packaged file is not what it must be; the message names the file and the line."""

    def __init__(self, name: str, line: int, reason: str) -> None:
        """name: path inside the package. line: counted from 1. reason: what is wrong there."""
        super().__init__(f"{name}:{line}: {reason}")
        self.name = name
        self.line = line
        self.reason = reason


class Strict(BaseModel):
    """A part of a packaged file: nothing unknown, nothing changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _Loader(yaml.CSafeLoader):
    """Plain YAML in which only `true` and `false` are booleans, and no key comes twice.

    YAML 1.1 reads yes, no, on and off as booleans: answers of questionnaires would turn into something else. The parser
    is libyaml: PyYAML's own takes half a second for the library, at every start.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - the library's signature
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(problem="a key is one value", problem_mark=key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {key!r} comes twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


_BOOLEAN = "tag:yaml.org,2002:bool"
_Loader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] != _BOOLEAN or first in "tf"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}

Parsed = TypeVar("Parsed", bound=BaseModel)


@dataclass(frozen=True)
class Document(Generic[Parsed]):
    """A file that was read: its name, what it says, and where it says it."""

    name: str
    value: Parsed
    node: yaml.Node

    def broken(self, loc: Loc, reason: str) -> BrokenFile:
        """Return the error that points to the place `loc` of this file."""
        return BrokenFile(self.name, line_of(self.node, loc), reason)


class Unreadable(Exception):  # noqa: N818 - the text is, the program is not
    """This is not YAML as we read it."""

    def __init__(self, line: int, reason: str) -> None:
        """line: counted from 1. reason: what is wrong there."""
        super().__init__(f"{line}: {reason}")
        self.line = line
        self.reason = reason


def parse(written: bytes) -> tuple[Any, yaml.Node | None]:
    """Return what a text says, and where; None where it says nothing. Raises Unreadable."""
    try:
        loader = _Loader(written)
        node = loader.get_single_node()
        return (None if node is None else loader.construct_document(node)), node
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise Unreadable(mark.line + 1 if mark else 1, error.problem or "this is not YAML") from error
    except yaml.reader.ReaderError as error:
        raise Unreadable(written.count(b"\n", 0, error.position) + 1, error.reason) from error


MISFITS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What PyYAML lets out where a tag promises what the value is not, as in `!!bool perhaps` or a day 2020-13-45."""

DEPTH_LIMIT = 16
"""How deep lists and mappings of a stranger's text may lie within each other."""


def parse_foreign(written: bytes) -> tuple[Any, yaml.Node | None]:
    """Return what a stranger's text says, and where. Raises Unreadable, also for what could grow without end.

    An alias stands for a copy: nine lines of them make a billion values.
    """
    depth = 0
    try:
        for event in yaml.parse(written, Loader=_Loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or depth > DEPTH_LIMIT:
                reason = (
                    f"lists and mappings lie at most {DEPTH_LIMIT} deep" if depth > DEPTH_LIMIT else "no aliases here"
                )
                raise Unreadable(1 if event.start_mark is None else event.start_mark.line + 1, reason)
    except yaml.YAMLError:
        pass  # the second reading says where
    try:
        return parse(written)
    except MISFITS as error:
        raise Unreadable(_misfit(written), "a value is not what its tag says") from error


def _misfit(written: bytes) -> int:
    """Find the line of the first value that is not what its tag says."""
    loader = _Loader(written)
    waiting = [loader.get_single_node()]
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.ScalarNode):
            try:
                loader.construct_object(node)
            except MISFITS:
                return int(node.start_mark.line) + 1
        elif isinstance(node, yaml.SequenceNode):
            waiting += reversed(node.value)
        elif isinstance(node, yaml.MappingNode):
            waiting += [one for pair in reversed(node.value) for one in reversed(pair)]
    return 1


def read(root: Traversable, name: str, model: type[Parsed]) -> Document[Parsed]:
    """Return the file `name` below `root` as `model`. Raises BrokenFile."""
    try:
        data, node = parse(root.joinpath(name).read_bytes())
    except Unreadable as error:
        raise BrokenFile(name, error.line, error.reason) from error
    if node is None:
        raise BrokenFile(name, 1, "the file is empty")
    try:
        return Document(name, model.model_validate(data), node)
    except ValidationError as error:
        # what is missing is often the consequence of a key that is misspelled: name that one first
        first = min(error.errors(include_url=False, include_input=False), key=lambda one: one["type"] == "missing")
        place = ".".join(str(part) for part in first["loc"])
        raise BrokenFile(name, line_of(node, first["loc"]), f"{place}: {first['msg']}") from error


def line_of(node: yaml.Node, loc: Loc) -> int:
    """Return the line of the deepest part of `loc` that the file has; a missing key is where it should be."""
    line = node.start_mark.line
    for part in loc:
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line
        elif isinstance(node, yaml.MappingNode):
            found = next((pair for pair in node.value if pair[0].value == str(part)), None)
            if found is not None:
                key, node = found
                line = key.start_mark.line
    return line + 1
