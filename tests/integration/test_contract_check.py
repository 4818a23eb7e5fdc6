"""Checking contracts: what is wrong with them, and which changes since the release break whom."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from sluice.base.settings import PROJECT
from sluice.contracts.changes import changes
from sluice.contracts.check import check
from sluice.contracts.model import Contract
from sluice.contracts.parse import parse_contract
from sluice.contracts.rules.rule_types import Change

Edit = Callable[[dict[str, Any]], object]


def document() -> dict[str, Any]:
    text = (PROJECT / "include" / "contracts" / "rees46.odcs.yaml").read_text()
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def column(of: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(item for item in of["schema"][0]["properties"] if item["name"] == name)
    return found


def rule(predicate: str, severity: str) -> list[dict[str, str]]:
    return [{"name": "a_rule", "type": "custom", "engine": "sluice", "severity": severity, "implementation": predicate}]


def edited(*edits: Edit) -> dict[str, Any]:
    made = document()
    for edit in edits:
        edit(made)
    return made


def found_changes(edit: Edit) -> list[Change]:
    before, after = (
        parse_contract(yaml.safe_dump(text), Path("rees46.odcs.yaml")) for text in (document(), edited(edit))
    )
    return changes(before, after)


def parsed(of: dict[str, Any]) -> Contract:
    return parse_contract(yaml.safe_dump(of), Path("rees46.odcs.yaml"))


def number(name: str, value: Any) -> list[dict[str, Any]]:
    return [{"property": name, "value": value}]


BREAKING: list[tuple[str, Edit, str]] = [
    ("readers", lambda d: d["schema"][0]["properties"].remove(column(d, "brand")), "brand is gone from extra"),
    ("readers", lambda d: column(d, "user_session").update(physicalName="ip_address"), "moves from events.session_id"),
    ("readers", lambda d: column(d, "brand").update(name="Brand name"), "column brand is gone"),
    (
        "readers",
        lambda d: column(d, "category_id").update(logicalType="integer", logicalTypeOptions={}),
        "logicalType string → integer",
    ),
    ("readers", lambda d: column(d, "price").update(physicalType="numeric(10,2)"), "digits (16, 4) → (8, 2)"),
    ("readers", lambda d: column(d, "user_id").update(required=False), "user_id may be null now"),
    (
        "readers",
        lambda d: column(d, "event_id").update(transformLogic="feed_id('x', user_id)"),
        "event_id: transformLogic",
    ),
    ("writers", lambda d: column(d, "brand").update(required=True), "brand is required now"),
    ("writers", lambda d: column(d, "event_type")["enum"].pop(), "enum no longer allows purchase"),
    ("writers", lambda d: column(d, "price")["logicalTypeOptions"].update(minimum=1), "minimum 0 → 1"),
    ("writers", lambda d: column(d, "price")["logicalTypeOptions"].update(maximum=9), "maximum none → 9"),
    ("writers", lambda d: d["schema"][0].update(quality=rule("price > 0", "reject")), "rule a_rule (reject) is new"),
    (
        "writers",
        lambda d: d["schema"][0]["properties"].append({"name": "shop", "logicalType": "string", "required": True}),
        "shop is new, and files must have it",
    ),
    (
        "writers",
        lambda d: d.update(customProperties=[{"property": "csv", "value": {"separator": ";"}}]),
        "another dialect",
    ),
    (
        "writers",
        lambda d: d.update(customProperties=[{"property": "csv", "value": {"comment": "#"}}]),
        "files are read in another dialect",
    ),
    (
        "writers",
        lambda d: d.update(customProperties=[{"property": "csv", "value": {"skipLines": 1}}]),
        "what of a file is header, footer or passed over",
    ),
    (
        "writers",
        lambda d: d.update(customProperties=[{"property": "files", "value": ["rees46-*.csv"]}]),
        "files [] → ['rees46-*.csv']",
    ),
    (
        "writers",
        lambda d: d.update(customProperties=[{"property": "errorBudget", "value": {"rows": 5}}]),
        "errorBudget.rows none → 5",
    ),
    (
        "writers",
        lambda d: d.update(customProperties=[{"property": "cancellations", "value": "positive"}]),
        "cancellations negative → positive",
    ),
    (
        "writers",
        lambda d: d.update(customProperties=[{"property": "drift", "value": "reject"}]),
        "drift warn → reject",
    ),
    (
        "writers",
        lambda d: d.update(customProperties=[{"property": "csv", "value": {"strayQuote": "reject"}}]),
        "csv.strayQuote none → reject",
    ),
    ("readers", lambda d: d.update(customProperties=[{"property": "timezone", "value": "Asia/Tokyo"}]), "timezone"),
    (
        "readers",
        lambda d: d.update(customProperties=[{"property": "sales", "value": False}]),
        "sales: purchases and cancellations are no longer counted as sales in reports",
    ),
]
COMPATIBLE: list[tuple[Edit, str]] = [
    (
        lambda d: d.update(customProperties=[{"property": "csv", "value": {"strayQuote": "warn"}}]),
        "csv.strayQuote none → warn",
    ),
    (
        lambda d: d.update(customProperties=[{"property": "reportCurrency", "value": "EUR"}]),
        "reportCurrency none → EUR",
    ),
    (lambda d: d["schema"][0]["properties"].append({"name": "shop", "logicalType": "string"}), "shop is new"),
    (lambda d: column(d, "price").update(customProperties=number("thousandsSeparator", ",")), "none → ,"),
    (lambda d: column(d, "price").update(customProperties=number("currency", ["€"])), "currency also allows €"),
    (lambda d: column(d, "event_type")["enum"].append({"value": "refund"}), "enum also allows refund"),
    (lambda d: column(d, "brand").update(synonyms=[{"synonym": "Marke"}]), "also answers to 'marke'"),
    (lambda d: column(d, "price")["logicalTypeOptions"].update(minimum=-1), "minimum 0 → -1"),
    (lambda d: column(d, "product_id").pop("logicalTypeOptions"), "pattern [0-9]{1,19} → none"),
    (lambda d: d["schema"][0].update(quality=rule("price > 0", "warn")), "rule a_rule (warn) is new"),
]


@pytest.mark.parametrize(("whom", "edit", "text"), BREAKING, ids=[text for _, _, text in BREAKING])
def test_a_change_that_breaks_somebody_is_named_first(whom: str, edit: Edit, text: str) -> None:
    first = found_changes(edit)[0]
    assert first.breaks == whom
    assert text in first.text


def test_marks_of_numbers_that_are_no_longer_read_break_writers() -> None:
    marked = document()
    column(marked, "price")["customProperties"] = [
        *number("thousandsSeparator", ","),
        *number("currency", ["€", "EUR"]),
    ]
    before, after = (parse_contract(yaml.safe_dump(d), Path("rees46.odcs.yaml")) for d in (marked, document()))
    assert [(change.breaks, change.text) for change in changes(before, after)] == [
        ("writers", "column price: thousandsSeparator , → none"),
        ("writers", "column price: currency no longer allows EUR, €"),
    ]


def test_another_currency_breaks_readers_and_to_say_that_sales_count_changes_nothing() -> None:
    def in_currency(code: str, **custom: Any) -> Contract:
        properties = [{"property": key, "value": value} for key, value in {"reportCurrency": code, **custom}.items()]
        return parsed(edited(lambda made: made.update(customProperties=properties)))

    [change] = changes(in_currency("EUR"), in_currency("CHF"))
    assert (change.breaks, change.text) == ("readers", "reportCurrency EUR → CHF")
    assert changes(in_currency("EUR"), in_currency("EUR", sales=True)) == []


@pytest.mark.parametrize(("edit", "text"), COMPATIBLE, ids=[text for _, text in COMPATIBLE])
def test_a_change_that_breaks_nobody_is_compatible(edit: Edit, text: str) -> None:
    [change] = found_changes(edit)
    assert change.breaks == ""
    assert text in change.text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of contracts in a git repository with one commit."""
    made = tmp_path / "repository" / "contracts"
    made.mkdir(parents=True)
    (made / "rees46.odcs.yaml").write_text(yaml.safe_dump(document()))
    git(made, "init", "--quiet")
    git(made, "add", ".")
    git(made, "commit", "--quiet", "--message", "First")
    return made


def git(folder: Path, *arguments: str) -> None:
    author = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *author, *arguments], check=True)


def save(folder: Path, *edits: Edit) -> None:
    (folder / "rees46.odcs.yaml").write_text(yaml.safe_dump(edited(*edits)))


def no_brand(made: dict[str, Any]) -> None:
    made["schema"][0]["properties"].remove(column(made, "brand"))


def test_a_breaking_change_since_the_release_fails_the_check_until_the_major_version_rises(folder: Path) -> None:
    git(folder, "tag", "v0.9.0")
    git(folder, "tag", "v0.10.0")
    save(folder, no_brand)
    lines, is_well = check(folder)
    assert not is_well
    assert "compared with release v0.10.0:" in lines
    assert "    breaks readers: column brand is gone from extra->>'brand'" in lines
    assert "    needs a new major version (2.0.0), or undo what breaks" in lines
    save(folder, no_brand, lambda made: made.update(version="2.0.0"))
    assert check(folder)[1]


def test_a_clone_without_tags_compares_with_the_release_that_was_copied(folder: Path) -> None:
    released = folder.parent / "released"
    (released / "contracts").mkdir(parents=True)
    (released / "version").write_text("0.2.0\n")
    (released / "contracts" / "rees46.odcs.yaml").write_text(yaml.safe_dump(document()))
    save(folder, no_brand)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Second")
    lines, is_well = check(folder)
    assert not is_well
    assert "compared with release v0.2.0:" in lines
    assert "    breaks readers: column brand is gone from extra->>'brand'" in lines


def test_a_contract_that_cannot_be_used_is_not_said_to_be_gone(folder: Path) -> None:
    git(folder, "tag", "v1.0.0")
    save(folder, lambda made: column(made, "price").update(transformLogic="nosuch(1)"))
    lines, is_well = check(folder)
    assert not is_well
    assert "  rees46 is not compared: rees46.odcs.yaml cannot be used" in lines


def test_a_compatible_change_passes_and_asks_for_a_new_version(folder: Path) -> None:
    git(folder, "tag", "v1.0.0")
    save(folder, lambda made: column(made, "price").pop("logicalTypeOptions"))
    lines, is_well = check(folder)
    assert is_well
    assert "    raise the version (1.1.0), so that rejects name the rules they broke" in lines


def test_a_contract_that_is_gone_since_the_release_fails_the_check(folder: Path) -> None:
    git(folder, "tag", "v1.0.0")
    save(folder, lambda made: made.update(name="other"))
    lines, is_well = check(folder)
    assert not is_well
    assert "  rees46 is gone: its files would be rejected" in lines


def test_before_the_first_release_changes_are_shown_and_nothing_is_promised(folder: Path) -> None:
    save(folder, no_brand)
    lines, is_well = check(folder)
    assert is_well
    assert "no release yet (none in released, no tag v*): nothing is promised; changes since the last commit:" in lines
    assert "    breaks readers: column brand is gone from extra->>'brand'" in lines


def test_outside_git_contracts_are_checked_and_not_compared(tmp_path: Path) -> None:
    save(tmp_path)
    lines, is_well = check(tmp_path)
    assert is_well
    assert lines[0] == "rees46.odcs.yaml: rees46 1.0.0 is sound"
    assert "not compared" in lines[-1]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "rees46.odcs.yaml: not YAML"),
        ("\udcff", "rees46.odcs.yaml: "),
        (
            yaml.safe_dump(edited(lambda made: column(made, "event_id").update(transformLogic="recordid(1)"))),
            "rees46.odcs.yaml: event_id: transformLogic: ",
        ),
    ],
)
def test_a_contract_that_cannot_be_used_fails_the_check_with_file_and_place(
    tmp_path: Path, text: str, reason: str
) -> None:
    (tmp_path / "rees46.odcs.yaml").write_bytes(text.encode(errors="surrogateescape"))
    lines, is_well = check(tmp_path)
    assert not is_well
    assert lines[0].startswith(reason)


def test_two_contracts_that_would_dispute_files_fail_the_check(tmp_path: Path) -> None:
    save(tmp_path)
    (tmp_path / "twin.odcs.yaml").write_text(yaml.safe_dump(edited(lambda made: made.update(name="twin"))))
    lines, is_well = check(tmp_path)
    assert not is_well
    assert any("fits contracts rees46, twin equally well" in line for line in lines)


def test_an_empty_folder_fails_the_check(tmp_path: Path) -> None:
    lines, is_well = check(tmp_path)
    assert not is_well
    assert "no contract in" in lines[0]


def test_a_derived_amount_that_is_a_double_is_warned_of_until_it_is_rounded(tmp_path: Path) -> None:
    def derived(logic: str) -> Edit:
        total = {"name": "total_amount", "logicalType": "number", "transformLogic": logic}
        return lambda made: made["schema"][0]["properties"].append(total)

    save(tmp_path, derived("price / 3"))
    lines, is_well = check(tmp_path)
    assert is_well
    assert lines[1].startswith("rees46.odcs.yaml: warning: total_amount: transformLogic gives a DOUBLE")
    assert lines[1].endswith("write round(…, 4)")
    for logic in ("round(price / 3, 4)", "price * 3"):
        save(tmp_path, derived(logic))
        assert not [line for line in check(tmp_path)[0] if "warning" in line]
