"""Everything the library raises on purpose.

Each message says what was wrong, what was got, and what is allowed or what to do next. The command line prints it
and exits with status 1; a page shows it in place of its figure. Anything else that is raised is a defect.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

# Errors of a place that a person named, not of the code that went there.
_OF_THE_PLACE = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENOTDIR),
    *(errno.ENOSPC, errno.EDQUOT, errno.ELOOP, errno.ENAMETOOLONG),
}


class SmpLabError(Exception):
    """Base of every error that a person can mend."""

    def __str__(self) -> str:
        # A file name that is not UTF-8 can be neither printed nor sent to a browser as it is.
        return super().__str__().encode(errors="backslashreplace").decode()


class ConfigError(SmpLabError):
    """A setting of a run is unknown, out of range, or does not fit another one."""


class DataError(SmpLabError):
    """Task data are missing, unreadable or malformed."""


class EncoderError(SmpLabError):
    """An encoder is missing, altered, or of an architecture whose matrices are not known here."""


class MaskFormatError(SmpLabError):
    """Masks have another length, shape or layout than they must have."""


class RunFormatError(SmpLabError):
    """A run record is incomplete, altered, or written in a schema that this version does not read."""


class RunExistsError(SmpLabError):
    """A run of this id is already there, or another process is writing it."""


class RunWriteError(SmpLabError):
    """A run could not be written to its folder."""


class TrainingError(SmpLabError):
    """Training cannot start or continue."""


class Interrupted(TrainingError):
    """Training was stopped on request; a checkpoint was left."""


class NeededFirstError(TrainingError):
    """A run that another one, or a measurement, needs is not there yet: `run_id`."""

    def __init__(self, sentence: str, run_id: str) -> None:
        super().__init__(sentence)
        self.run_id = run_id


class JobError(SmpLabError):
    """A job is not there or not in a state for what is asked of it, or the queue cannot be written."""


class MissingDependencyError(SmpLabError):
    """A package of an optional extra, or the clone that holds the app's pages, is needed and not there."""


def first_line(error: BaseException) -> str:
    """What an error of another library says, short enough to stand in brackets in a sentence."""
    return str(error).strip().split("\n")[0].rstrip(".:") or type(error).__name__


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is no memory; torch has a type of its own for that on accelerators alone."""
    return isinstance(error, MemoryError) or any(
        words in str(error) for words in ("out of memory", "can't allocate memory", "not enough memory")
    )


@contextmanager
def told(kind: type[SmpLabError], what: str, advice: str) -> Iterator[None]:
    """Make a sentence of what libraries raise, which has no parent in common but Exception.

    That there is no memory is no fault of a file, and what is a sentence already stays one.

    Raises
    ------
    SmpLabError
        Of `kind`: what cannot be done, in brackets why, and what helps.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, SmpLabError) or is_out_of_memory(error):
            raise
        why = getattr(error, "strerror", None) or f"{type(error).__name__}: {first_line(error)[:200]}"
        raise kind(f"{what} ({why}). {advice}") from error


def sentence_of(error: BaseException) -> str | None:
    """What a person can do about an error; None for a defect."""
    if isinstance(error, SmpLabError):
        return str(error)
    if is_out_of_memory(error):
        return (
            f"There is not enough memory ({first_line(error)[:200]}). Close what else runs and start the same command "
            "again: a run that has a checkpoint resumes from it. With a smaller --batch-size or --max-length smp-lab "
            "train takes less, and makes another run."
        )
    if isinstance(error, OSError) and error.errno in _OF_THE_PLACE:
        return (
            f"{str(error.filename or 'A file')[:200]} cannot be read or written ({error.strerror}). Make it readable "
            "and writable, free space, or name another place."
        )
    return None
