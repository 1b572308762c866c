"""The errors a user can cause or repair; every other exception is a bug and keeps its traceback."""


class UserError(Exception):
    """Something the user can put right. The message is one sentence: what, where, what to do."""


class BadInput(UserError):
    """A file or a table that can't be used as it is."""


class BadSetting(UserError):
    """A setting that is unknown, out of range or at odds with another."""


class MissingArtefact(UserError):
    """An asset (or one of its partitions) that has not been materialised yet."""


class CorruptArtefact(UserError):
    """An artefact whose bytes differ from its manifest. Never the same thing as a missing one."""


class Unwritable(UserError):
    """A disk that is full, or a folder that can't be written."""


class Unreachable(UserError):
    """An object store that doesn't answer, or that lets nobody in."""


class Stopped(UserError):
    """A run that was told to stop, by Ctrl-C or whoever looks after the process."""
