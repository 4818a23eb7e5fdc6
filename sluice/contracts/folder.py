"""The folder of contracts as a whole: which contracts can be used, and what the others were when they last could be.

One broken file stops its own feed, not the others. It still matches, by its last usable version: a file that fits it
best waits, and neither goes to another contract nor is rejected.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sluice.contracts.matching import Match, match
from sluice.contracts.model import Contract, ContractError, HeaderError, NoContractError
from sluice.contracts.parse import parse_contract
from sluice.ledger import contract_waits

Problems = Callable[[Contract], list[str]]
LastUsable = Callable[[], Mapping[str, str]]


@dataclass(frozen=True)
class Broken:
    """A contract file that cannot be used: ``why``, for people, and the version that a header is still held against."""

    file: str
    why: str
    matches_as: Contract | None = None


@dataclass(frozen=True)
class Contracts:
    """What the folder holds, ``digest`` being that of the whole. ``texts`` has the texts of the usable ones by file."""

    usable: tuple[Contract, ...]
    broken: tuple[Broken, ...]
    digest: str
    texts: Mapping[str, str]

    @property
    def candidates(self) -> tuple[Contract, ...]:
        """Every contract that a header is held against."""
        return (*self.usable, *(broken.matches_as for broken in self.broken if broken.matches_as))

    def match(
        self,
        headers: Sequence[tuple[Contract, list[str] | None]],
        columns_max: int | None = None,
        explain: Callable[[NoContractError], str] = str,
    ) -> Match:
        """The usable contract that fits best; ``headers`` are of the candidates, each read in its own dialect.

        Raises ContractError when the best one cannot be used, or none fits and one cannot be used: the file waits.
        Raises HeaderError when none fits though all can be used. ``explain`` words it when none fits.
        """
        try:
            best = match(headers, columns_max)
        except HeaderError as error:
            why = explain(error) if isinstance(error, NoContractError) else str(error)
            if self.broken:
                raise ContractError(f"{why}; but {self.why()}") from error
            raise HeaderError(why) from error
        if whys := [broken.why for broken in self.broken if broken.matches_as is best.contract]:
            raise ContractError(whys[0])
        return best

    def why(self) -> str:
        """What is wrong with the broken ones."""
        return "; ".join(broken.why for broken in self.broken)

    def named(self, name: str) -> Contract:
        """The usable contract of this name. Raises ContractError, which says why it cannot be used, or LookupError."""
        for contract in self.usable:
            if contract.name == name:
                return contract
        for broken in self.broken:
            if broken.matches_as and broken.matches_as.name == name:
                raise ContractError(broken.why)
        raise LookupError(name)


def read_contracts(
    folder: Path, *, problems: Problems | None = None, last_usable: LastUsable | None = None
) -> Contracts:
    """Read the folder; nothing about a single contract raises.

    ``problems`` checks a contract's own SQL; ``last_usable`` gives the last usable texts by file, and is only asked
    when a contract is broken.
    """
    file_texts = contract_waits.texts(folder)
    good: dict[str, Contract] = {}
    why: dict[str, str] = {}
    for file, text in file_texts.items():
        try:
            good[file] = _usable(folder / file, text, problems)
        except ContractError as error:
            why[file] = str(error)
    disputed = _disputed(good)
    before = last_usable() if why and last_usable else {}
    broken = [Broken(file, why[file], _last(folder / file, before.get(file))) for file in why]
    broken += [Broken(file, disputed[file], good.pop(file)) for file in disputed]
    if not file_texts:
        broken.append(
            Broken(contract_waits.PATTERN, f"no contract in {folder}: it must hold at least one file named *.odcs.yaml")
        )
    texts = {file: text.decode() for file, text in file_texts.items() if file in good and isinstance(text, bytes)}
    return Contracts(tuple(good.values()), tuple(broken), contract_waits.digest(file_texts), texts)


def _usable(path: Path, text: bytes | OSError, problems: Problems | None) -> Contract:
    if isinstance(text, OSError):
        raise ContractError(f"{path.name}: it cannot be read ({text.strerror}): give this user permission")
    try:
        contract = _parsed(path, text.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ContractError(f"{path.name}: it is not UTF-8 ({error}): save it as UTF-8") from error
    if problems and (wrong := problems(contract)):
        raise ContractError("; ".join(f"{path.name}: {problem}" for problem in wrong))
    return contract


@functools.lru_cache(maxsize=256)
def _parsed(path: Path, text: str) -> Contract:
    """An unchanged file is the same contract: what was compiled for it stays valid."""
    return parse_contract(text, path)


def _disputed(good: Mapping[str, Contract]) -> dict[str, str]:
    """Files whose contract has the name of another one's, and what is wrong."""
    files: dict[str, list[str]] = defaultdict(list)
    for file, contract in good.items():
        files[contract.name].append(file)
    return {
        file: f"more than one contract is named {name!r} ({', '.join(same)}): rename one"
        for name, same in files.items()
        if len(same) > 1
        for file in same
    }


def _last(path: Path, text: str | None) -> Contract | None:
    try:
        return None if text is None else _parsed(path, text)
    except ContractError:  # usable for an older Sluice
        return None
