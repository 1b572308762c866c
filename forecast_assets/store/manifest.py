"""The manifest of a version: its files, settings and parents. A version exists once its manifest does."""

import json
from typing import Any, NotRequired, TypedDict

from pydantic import BaseModel, Field, ValidationError

from forecast_assets.store.keys import canonical_json, plain, sha256_text

_SELF = "manifest_sha256"


class Entry(BaseModel, frozen=True, extra="forbid"):
    """One file of a version."""

    sha256: str
    bytes: int = Field(ge=0)


class ManifestFields(TypedDict):
    """The manifest fields that the writer of a version gives; the store adds the rest."""

    parents: dict[str, str]
    config: dict[str, Any]
    code_version: str
    seeds: NotRequired[list[int]]
    packages: NotRequired[dict[str, str]]
    slices: NotRequired[dict[str, str]]
    facts: NotRequired[dict[str, Any]]


class Manifest(BaseModel, frozen=True, extra="forbid"):
    """The content of ``manifest.json``."""

    asset: str
    partition: str | None
    version: str
    input_key: str
    data_version: str = Field(description="digest of the content: file names and their sha256")
    files: dict[str, Entry] = Field(min_length=1)
    parents: dict[str, str] = Field(description="data version of each parent, by asset or asset/partition")
    config: dict[str, Any] = Field(description="the settings that the asset read")
    code_version: str
    seeds: tuple[int, ...] = ()
    packages: dict[str, str] = Field(default={}, description="versions of the packages that matter")
    created: str = Field(description="UTC, ISO 8601, microseconds")
    slices: dict[str, str] = Field(default={}, description="digest of the rows of each calendar year, by year")
    facts: dict[str, Any] = Field(default={}, description="small numbers for people: rows, seconds, peak memory")

    def to_bytes(self) -> bytes:
        """Return indented JSON with a digest of itself, so that an altered setting is noticed."""
        body = plain(self.model_dump(), where="manifest")
        signed = {**body, _SELF: sha256_text(canonical_json(body))}
        return (json.dumps(signed, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Manifest":
        """Parse what `to_bytes` wrote. Raises ValueError with a short reason for anything else."""
        try:
            body = json.loads(data)
        except ValueError as error:  # JSON and UTF-8 errors alike
            raise ValueError("is not JSON") from error
        if not isinstance(body, dict):
            raise ValueError("is not a JSON object")
        if body.pop(_SELF, None) != sha256_text(canonical_json(body)):
            raise ValueError("differs from its own digest")
        try:
            return cls.model_validate(body)
        except ValidationError as error:
            raise ValueError(f"has unknown or missing fields ({error.error_count()})") from error


def content_digest(files: dict[str, Entry]) -> str:
    """Return the data version of these files: sha256 over the sorted pairs of name and sha256, 64 hex digits."""
    return sha256_text(canonical_json([[name, files[name].sha256] for name in sorted(files)]))
