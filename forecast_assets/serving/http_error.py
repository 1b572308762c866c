"""The exception for a request that can't be answered, with its HTTP status."""

from typing import Any


class HttpError(Exception):
    """``reason`` is one word for programs, the message one sentence for people."""

    def __init__(self, status: int, reason: str, sentence: str, *, nearest: tuple[str, ...] = ()) -> None:
        super().__init__(sentence)
        self.status = status
        self.reason = reason
        self.nearest = nearest

    def content(self) -> dict[str, Any]:
        """Return the body of the answer, or of one item of a batch."""
        nearest = {"nearest": list(self.nearest)} if self.nearest else {}
        return {"detail": str(self), "reason": self.reason, **nearest}
