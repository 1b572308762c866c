"""A request that can't be answered, as an exception that carries its HTTP status."""

from typing import Any


class HttpError(Exception):
    """``reason`` is one word for programs, the message one sentence for people."""

    def __init__(self, status: int, reason: str, sentence: str, *, nearest: tuple[str, ...] = ()) -> None:
        super().__init__(sentence)
        self.status = status
        self.reason = reason
        self.nearest = nearest

    def content(self) -> dict[str, Any]:
        """The body of the answer, and of one item of a batch."""
        named = {"nearest": list(self.nearest)} if self.nearest else {}
        return {"detail": str(self), "reason": self.reason, **named}
