"""What is vendored is what its makers published: the hashes are of the files in their packages on npm."""

from __future__ import annotations

import hashlib

import pytest

from sluice.base.settings import PROJECT

VENDOR = PROJECT / "plugins" / "sluice_ui" / "static" / "vendor"
# File: the package, the file in it, its sha256.
HASHES = {
    "htm.js": ("htm@3.1.1 dist/htm.mjs", "ab33dd3f38059b9be4d5f5350128eefb2356639c4e0bbe9d9e8b3ba75847e9e4"),
    "uplot.js": (
        "uplot@1.6.32 dist/uPlot.iife.min.js",
        "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    ),
    "uplot.css": (
        "uplot@1.6.32 dist/uPlot.min.css",
        "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    ),
}


@pytest.mark.parametrize("name", HASHES)
def test_a_vendored_file_is_as_it_was_published(name: str) -> None:
    assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == HASHES[name][1]


def test_every_vendored_file_is_listed_and_has_its_licence() -> None:
    assert {path.name for path in VENDOR.iterdir() if path.suffix != ".LICENSE"} == set(HASHES)
    assert {path.stem for path in VENDOR.glob("*.LICENSE")} == {name.partition(".")[0] for name in HASHES}
