"""YAML as its version 1.2 means it, and a key only once."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml

from sluice.contracts.model import more_than_once

_TIMESTAMP, _INTEGER = "tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int"


class Yaml(yaml.SafeLoader):
    """YAML as 1.2 means it: `no` and `2020-01-01` are text, only `true` and `false` are booleans; a key stands once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """The mapping of a node. Raises YAMLError, with the line, for a key that stands twice."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := more_than_once(keys):
            raise yaml.YAMLError(f"line {node.start_mark.line + 1}: {twice} stands more than once: keep one")
        return super().construct_mapping(node, deep)


Yaml.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in ("tag:yaml.org,2002:bool", _TIMESTAMP, _INTEGER)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Yaml.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(true|false)$"), list("tf"))
Yaml.add_implicit_resolver(_INTEGER, re.compile(r"[-+]?(0|[1-9][0-9]*)$"), list("-+0123456789"))
