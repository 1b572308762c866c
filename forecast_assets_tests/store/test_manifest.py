"""The manifest as bytes."""

import pytest

from forecast_assets.store.manifest import Entry, Manifest

MANIFEST = Manifest(
    asset="fits",
    partition="2019",
    version="aaaaaaaaaaaaaaaa-00000000",
    input_key="a" * 64,
    data_version="d" * 64,
    files={"f": Entry(sha256="e" * 64, bytes=3)},
    parents={"panel": "p"},
    config={"rate": 0.1, "names": ["é", None]},
    code_version="c",
    seeds=(1, 2),
    created="2026-01-01T00:00:00.000000+00:00",
    facts={"rows": 10**18, "seconds": 1e-7},
)


def test_a_manifest_survives_the_round_trip() -> None:
    assert Manifest.from_bytes(MANIFEST.to_bytes()) == MANIFEST


def test_any_single_altered_byte_is_noticed_or_means_the_same() -> None:
    data = MANIFEST.to_bytes()
    unnoticed = []
    for place in range(len(data)):
        altered = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        try:
            same = Manifest.from_bytes(altered) == MANIFEST
        except ValueError:
            continue
        if not same:
            unnoticed.append(place)
    assert unnoticed == []


@pytest.mark.parametrize(
    ("data", "what"),
    [(b"", "is not JSON"), (b"\xff", "is not JSON"), (b"[]", "is not a JSON object"), (b"{}", "its own digest")],
)
def test_bytes_that_are_no_manifest_are_rejected_with_a_reason(data: bytes, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        Manifest.from_bytes(data)


def test_a_cut_manifest_is_rejected() -> None:
    data = MANIFEST.to_bytes()
    for length in range(0, len(data) - 1, 7):
        with pytest.raises(ValueError, match="is not JSON"):
            Manifest.from_bytes(data[:length])
