"""Licences of the locked packages: each listed, each accepted or reviewed."""

import pytest

from tools import licences
from tools.licences import REVIEWED, Locked, installed, is_accepted, listed, locked, problems


def test_every_locked_package_has_a_licence_that_is_accepted_or_reviewed() -> None:
    pins = locked()
    assert len(pins) > 250
    assert [*problems(listed(), pins)] == []
    assert set(listed()) == set(pins)


def test_the_list_says_what_the_installed_packages_say() -> None:
    own, here = listed(), installed()
    both = [pin for pin in own if here.get(pin)]
    assert len(both) > 200
    assert {pin: own[pin] for pin in both} == {pin: here[pin] for pin in both}


def test_no_review_outlives_its_package() -> None:
    assert set(REVIEWED) <= {pin.package for pin in locked()}


@pytest.mark.parametrize(
    "licence", ["MIT", "Apache-2.0 OR GPL-3.0", "BSD License; MIT License", "MPL-2.0 AND MIT", "(MIT OR X) AND Zlib"]
)
def test_a_licence_is_accepted_whose_parts_are_or_that_leaves_a_choice(licence: str) -> None:
    assert is_accepted(licence)


@pytest.mark.parametrize(
    "licence", ["", "GPL-3.0-only", "AGPL-3.0", "MIT AND GPL-3.0", "BSD License; Proprietary", "X"]
)
def test_a_licence_with_a_part_that_is_not_accepted_is_a_problem(licence: str) -> None:
    pin = Locked("a", "1")
    assert not is_accepted(licence)
    assert [*problems({pin: licence}, [pin])] == [f"a 1: {licence or 'no licence'}: review it in tools/licences.py"]


def test_a_package_without_a_line_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [*problems({}, [Locked("a", "1")])] == [
        "a 1: its licence is not listed; install it and run: python -m tools.licences"
    ]
    monkeypatch.setattr(licences, "LIST", licences.ROOT / "no such file")
    assert listed() == {}
