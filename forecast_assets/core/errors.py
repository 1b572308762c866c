"""Errors that a user can cause or repair; every other exception is a bug and keeps its traceback."""


class UserError(Exception):
    """Base class. The message is one sentence: what is wrong, where, what to do."""


class BadInput(UserError):
    """A file or a table that can't be used as it is."""


class BadSetting(UserError):
    """A setting that is unknown, out of range or at odds with another."""


class MissingArtefact(UserError):
    """An asset (or one of its partitions) that has not been materialised yet."""


class CorruptArtefact(UserError):
    """An artefact whose bytes differ from its manifest; distinct from a missing one."""


class ChangedMeanwhile(UserError):
    """A file of data or code that is another one than when a run began with it."""


class Unwritable(UserError):
    """A disk that is full, or a file or folder that can't be read or written."""


class OutOfMemory(UserError):
    """More memory than the machine, or its limit, has."""


class Unreachable(UserError):
    """An object store that does not answer or denies access."""


class Stopped(UserError):
    """A run that was interrupted, by Ctrl-C or a signal."""


class OutOfTime(UserError):
    """A task that took longer than it may; ``args`` are its position among the tasks and the seconds."""

    def __init__(self, position: int, seconds: float) -> None:
        super().__init__(position, seconds)
        self.position, self.seconds = position, seconds

    def __str__(self) -> str:
        return f"task {self.position + 1} took longer than {self.seconds:g} s and was stopped"


class BadModel(UserError):
    """A model of one's own that fails, or returns what is no forecast."""
