"""Files and folders that only their owner can read, from the moment they exist.

Readers see whole files, because each is written beside its place and renamed. A writer who read
first holds the folder's lock meanwhile, so that nobody's change is lost.
"""

import contextlib
import errno
import fcntl
import logging
import os
import pwd
import shlex
import stat
import time
from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path

from nym.errors import LockedError, NymError

FILE_MODE = 0o600
FOLDER_MODE = 0o700
LOCK_PATIENCE = 20.0  # seconds that one process may keep a lock
_LOCK_PAUSE, _LONGEST_LOCK_PAUSE = 0.01, 0.2  # seconds between attempts
_LOCK_WORD = 2.0  # seconds until a word about it
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")

log = logging.getLogger(__name__)


def make_folder(path: Path) -> None:
    """Make `path`, and those above it that are missing, for the owner alone. Raises OSError."""
    if not path.is_dir():
        make_folder(path.parent)
        try:
            path.mkdir(mode=FOLDER_MODE, exist_ok=True)
        except FileExistsError as error:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path) from error


def read_bytes(path: Path, longest: int) -> memoryview:
    """A file of at most `longest` bytes, without a byte order mark.

    It may hold a secret: there is one copy of it, which the caller can wipe. Raises OSError,
    ValueError, also for UTF-16.
    """
    content = memoryview(bytearray(longest + 1))
    length = 0
    with path.open("rb", buffering=0) as file:
        while length <= longest and (more := file.readinto(content[length:])):
            length += more
    if length > longest:
        raise ValueError(f"it has more than {longest} bytes")
    if bytes(content[:2]) in _UTF_16:
        raise ValueError("it is UTF-16; save it as UTF-8")
    begin = len(BOM_UTF8) if bytes(content[: len(BOM_UTF8)]) == BOM_UTF8 else 0
    return content[begin:length]


def read_text(path: Path, longest: int) -> str:
    """The text in a file of at most `longest` bytes, as any editor writes it.

    It is UTF-8, with or without a byte order mark. Raises OSError, ValueError.
    """
    try:
        return str(read_bytes(path, longest), "utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8: {error.reason} at byte {error.start}") from error


def write_file(path: Path, content: bytes | bytearray, *, replaces: bool = True) -> None:
    """Put `content` at `path`, all of it or nothing, and on the disk before this returns.

    Raises OSError; FileExistsError where it doesn't replace a file that is there by then.
    """
    path = path.resolve()  # a link stays one
    partial = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with open(os.open(partial, flags, FILE_MODE), "wb", buffering=0) as file:
            left = memoryview(content)
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        if replaces or not _is_linked(partial, path):
            partial.replace(path)
        else:
            partial.unlink()
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            partial.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _is_linked(partial: Path, path: Path) -> bool:
    """Make `path`, which must not be there, the same file; False where there are no such links.

    Raises OSError.
    """
    try:
        path.hardlink_to(partial)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP):
            raise
        return False
    return True


def user(number: int) -> str:
    """The name of the user with this number, as far as this machine knows it."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def is_foreign(path: Path) -> int | None:
    """The user whose file or folder it is, where that is neither this one nor root. Raises OSError.

    Root uses what belongs to anybody.
    """
    owner = path.stat().st_uid
    return None if owner in (0, os.geteuid()) or os.geteuid() == 0 else owner


def open_parents(folder: Path) -> list[str]:
    """Folders above this one in which others can put something else in its place, and why.

    A group that is this user's own is the user, as where each has one. Raises OSError.
    """
    found = []
    for parent in folder.resolve().parents:
        status = parent.stat()
        others = 0o002 if status.st_gid == os.getegid() else 0o022
        if status.st_uid not in (0, os.geteuid()):
            found.append(f"{parent} belongs to {user(status.st_uid)}")
        elif status.st_mode & others and not status.st_mode & stat.S_ISVTX:
            found.append(
                f"{parent} has the mode {stat.S_IMODE(status.st_mode):04o} (close it: "
                f"chmod go-w {shlex.quote(str(parent))})"
            )
    return found


def close_to_others(folder: Path) -> list[str]:
    """Let nobody but the owner use `folder` and the files in it. Raises OSError.

    Returns what was open, with its mode.
    """
    found = _open_to_others(folder)
    for path in found:
        with contextlib.suppress(FileNotFoundError):
            path.chmod(FOLDER_MODE if path == folder else FILE_MODE)
    return [f"{path} (mode {mode:04o})" for path, mode in found.items()]


def _open_to_others(folder: Path) -> dict[Path, int]:
    """`folder` and the files in it that not only their owner can use, and their modes.

    Links are left out: what they lead to may be shared. Raises OSError.
    """
    modes = {folder: folder.stat().st_mode}
    for path in sorted(folder.iterdir()):
        with contextlib.suppress(FileNotFoundError):  # those of a running client come and go
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode):
                modes[path] = mode
    return {path: stat.S_IMODE(mode) for path, mode in modes.items() if mode & 0o077}


@contextlib.contextmanager
def os_errors_as(kind: type[NymError], what: str) -> Iterator[None]:
    """Raise `kind` for an OSError, with what can't be done and the system's reason."""
    try:
        yield
    except OSError as error:
        raise kind(f"{what}: {error.strerror or error}") from error


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder that is there: nobody else who asks for it has it meanwhile.

    The folder itself is locked. That leaves no file behind, and the system lets go when the
    process ends, however it ends. Raises LockedError where another process doesn't let go, OSError
    where the folder can't be opened.
    """
    descriptor = _wait_for_lock(folder)
    try:
        yield
    finally:
        os.close(descriptor)


def _wait_for_lock(folder: Path) -> int:
    """A descriptor that holds the lock, however many have it before, each in a moment."""
    began = since = time.monotonic()
    holder, is_said, pause = "", False, _LOCK_PAUSE
    while (descriptor := _lock(folder)) is None:
        now = time.monotonic()
        if holder != (found := _holder(folder)):
            holder, since = found, now
        if now - since > LOCK_PATIENCE:
            raise LockedError(folder, holder)
        if now - began > _LOCK_WORD and not is_said:
            log.warning("waiting for %s, which changes %s", holder, folder)
            is_said = True
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_LOCK_PAUSE)
    return descriptor


def _lock(folder: Path) -> int | None:
    """A descriptor that holds the lock; None where another process does. Raises OSError."""
    with contextlib.ExitStack() as unless_held:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        unless_held.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        except OSError as error:  # of file systems that don't know it, such as some over a network
            log.warning(
                "%s can't be locked (%s): change it with one command at a time",
                folder,
                error.strerror,
            )
        # By now another folder may be in its place: then the lock is nobody's.
        if os.path.samestat(os.fstat(descriptor), folder.stat()):
            unless_held.pop_all()
            return descriptor
    return None


def _holder(folder: Path) -> str:
    """The process that holds the lock, as far as the system tells."""
    try:
        inode = str(folder.stat().st_ino)
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            if fields[1] == "FLOCK" and fields[5].endswith(f":{inode}"):
                name = Path(f"/proc/{fields[4]}/comm").read_text().strip()
                return f"process {fields[4]} ({name})"
    except (OSError, IndexError):
        pass
    return "another process"
