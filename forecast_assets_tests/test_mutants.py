"""The suite catches every seeded leak."""

from pathlib import Path

import pytest

from forecast_assets_tests.helpers.mutants import FOLDS, MUTANTS, STATS, Mutant
from forecast_assets_tests.helpers.seeding import run_tests, seed


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_suite_catches(mutant: Mutant, tmp_path: Path) -> None:
    outcome = run_tests(mutant.tests, tmp_path, mutant=mutant)
    assert outcome.caught, f"{mutant.what}: no test failed\n{outcome.output}"


def test_a_copy_without_a_leak_passes(tmp_path: Path) -> None:
    outcome = run_tests((*FOLDS, *STATS), tmp_path, mutant=None)
    assert not outcome.caught, outcome.output


def test_an_edit_whose_text_is_gone_is_an_error_and_not_a_catch(tmp_path: Path) -> None:
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "file.py").write_text("x = 1\n")
    gone = Mutant("gone", "", "file.py", (("y = 2", "y = 3"),), ())
    with pytest.raises(ValueError, match="stands 0 times"):
        seed(gone, tmp_path)


def test_a_copy_that_does_not_import_is_an_error_and_not_a_catch(tmp_path: Path) -> None:
    broken = Mutant("broken", "", "windows/days.py", (("EPOCH = dt.date(1970, 1, 1)", "EPOCH = = 1"),), FOLDS)
    with pytest.raises(RuntimeError, match="did not run"):
        run_tests(FOLDS, tmp_path, mutant=broken)
