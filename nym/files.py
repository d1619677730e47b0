"""How this program writes files and folders, and checks who else can use them.

- Only the owner can read them, from the moment they exist.
- A reader never sees half a file: each file is written under another name and then renamed.
- Whoever changes a file reads and writes it under the lock of its folder. So of two changes at the
  same time, none is lost.
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
LOCK_PATIENCE = 20.0  # seconds for which one process may keep a lock before others give up
_LOCK_PAUSE, _LONGEST_LOCK_PAUSE = 0.01, 0.2  # seconds between attempts
_LOCK_WORD = 2.0  # seconds of waiting after which the log says so
_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}  # nothing is at a path
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # its byte order marks

log = logging.getLogger(__name__)


def exists(path: Path) -> bool:
    """Whether there is anything at `path`. Raises OSError if this user can't find out.

    Path.exists does the same before Python 3.14. Since then, it says False where it can't know, and
    a file that can't be seen could be replaced.
    """
    return _mode(path) is not None


def is_folder(path: Path) -> bool:
    """Whether there is a folder at `path`. Raises OSError if this user can't find out."""
    mode = _mode(path)
    return mode is not None and stat.S_ISDIR(mode)


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise


def make_folder(path: Path) -> None:
    """Make the folder `path`, and missing ones above it, for the owner alone. Raises OSError."""
    if not is_folder(path):
        make_folder(path.parent)
        try:
            # Another process may have made the folder since the test above, which is fine.
            path.mkdir(mode=FOLDER_MODE, exist_ok=True)
        except FileExistsError as error:  # something that is no folder has this name
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path) from error


def read_bytes(path: Path, longest: int) -> memoryview:
    """The content of a file of at most `longest` bytes, without a byte order mark.

    A file may hold a secret, so this makes no second copy, and the caller can wipe the result.
    Raises OSError; ValueError if the file is longer, or is UTF-16.
    """
    # One byte more than allowed shows that a file is too long, whatever the file system
    # says about its size. Unbuffered: a buffer would keep a copy that nobody wipes.
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
    """The text in a file of at most `longest` bytes, in UTF-8, with or without a byte order mark.

    Raises OSError; ValueError if it is longer, or isn't UTF-8.
    """
    try:
        return str(read_bytes(path, longest), "utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8: {error.reason} at byte {error.start}") from error


def write_file(path: Path, content: bytes | bytearray, *, replaces: bool = True) -> None:
    """Put all of `content` at `path`, or nothing. It is on the disk when this returns.

    Raises OSError. If not `replaces`, raises FileExistsError where there is a file already.
    """
    # A symbolic link stays a link, to a file that is replaced: users link to files elsewhere.
    path = path.resolve()
    partial = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with open(os.open(partial, flags, FILE_MODE), "wb", buffering=0) as file:
            left = memoryview(content)
            while left:
                left = left[file.write(left) :]
            # Before the rename, or the name could stand for an empty file after a power cut.
            os.fsync(file.fileno())
        if replaces or not _is_linked(partial, path):
            partial.replace(path)
        else:
            partial.unlink()
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            partial.unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk. A rename is only there then.

    Raises OSError.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def destroy_file(path: Path) -> None:
    """Write zeros over a file, and remove it. Raises OSError.

    Where the disk writes changes to another place, as those with flash memory do, what was in the
    file stays there until the disk uses that place again. Nothing that a program does changes that.
    """
    with path.open("r+b", buffering=0) as file:
        length = os.fstat(file.fileno()).st_size
        while file.tell() < length:
            file.write(bytes(length - file.tell()))
        os.fsync(file.fileno())
    path.unlink()


def _is_linked(partial: Path, path: Path) -> bool:
    """Link `path` to the file `partial`; False where the file system has no hard links.

    Unlike a rename, this fails if `path` exists, without a moment between test and change. Raises
    OSError, FileExistsError among them.
    """
    try:
        path.hardlink_to(partial)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP):
            raise
        return False
    return True


def user(number: int) -> str:
    """The name of the user with this number, or the number if this machine knows no name."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def is_foreign(path: Path) -> int | None:
    """The number of the owner if that is another user; None for this user's or root's.

    To root, nothing is foreign: root may use everybody's files. Raises OSError.
    """
    owner = path.stat().st_uid
    return None if owner in (0, os.geteuid()) or os.geteuid() == 0 else owner


def open_parents(folder: Path) -> list[str]:
    """The folders above this one in which others could put another one in its place, and why.

    Write access for the user's own group is not counted: many systems give each user a group that
    nobody else is in. Raises OSError.
    """
    found = []
    for parent in folder.resolve().parents:
        status = parent.stat()
        others = 0o002 if status.st_gid == os.getegid() else 0o022
        if status.st_uid not in (0, os.geteuid()):
            found.append(f"{parent} belongs to {user(status.st_uid)}")
        # The sticky bit, as on /tmp, keeps others from renaming what isn't theirs.
        elif status.st_mode & others and not status.st_mode & stat.S_ISVTX:
            found.append(
                f"{parent} has the mode {stat.S_IMODE(status.st_mode):04o} (close it: "
                f"chmod go-w {shlex.quote(str(parent))})"
            )
    return found


def close_to_others(folder: Path) -> list[str]:
    """Remove all access to `folder` and its files but the owner's. Raises OSError.

    Returns a text for each one that others could use, with its mode from before.
    """
    found = _open_to_others(folder)
    for path in found:
        with contextlib.suppress(FileNotFoundError):
            path.chmod(FOLDER_MODE if path == folder else FILE_MODE)
    return [f"{path} (mode {mode:04o})" for path, mode in found.items()]


def _open_to_others(folder: Path) -> dict[Path, int]:
    """Those of `folder` and the files in it that others than the owner can use, with their modes.

    Symbolic links are left out, because what they lead to may be shared on purpose. Raises OSError.
    """
    modes = {folder: folder.stat().st_mode}
    for path in sorted(folder.iterdir()):
        with contextlib.suppress(FileNotFoundError):  # a running client makes and deletes files
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode):
                modes[path] = mode
    return {path: stat.S_IMODE(mode) for path, mode in modes.items() if mode & 0o077}


@contextlib.contextmanager
def os_errors_as(kind: type[NymError], what: str) -> Iterator[None]:
    """Turn an OSError into a `kind` whose text says `what` failed, and the system's reason."""
    try:
        yield
    except OSError as error:
        raise kind(f"{what}: {error.strerror or error}") from error


@contextlib.contextmanager
def read_errors_as(kind: type[NymError], path: Path) -> Iterator[None]:
    """Turn the errors of `read_text` into a `kind` whose text names the file, and says why."""
    what = f"{path} can't be read"
    with os_errors_as(kind, what):
        try:
            yield
        except ValueError as error:
            raise kind(f"{what}: {error}") from error


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of an existing folder. No other process that uses this function has it then.

    The folder itself is locked, which leaves no lock file behind. The system releases the lock when
    the process ends, even if it is killed. Raises LockedError if another process keeps the lock for
    LOCK_PATIENCE seconds, OSError if the folder can't be opened.
    """
    descriptor = _wait_for_lock(folder)
    try:
        yield
    finally:
        os.close(descriptor)


def _wait_for_lock(folder: Path) -> int:
    """A descriptor that holds the lock.

    LOCK_PATIENCE counts for each holder separately: many commands may have the lock for a moment
    each.
    """
    began = since = time.monotonic()
    holder, is_said, pause = "", False, _LOCK_PAUSE
    while (descriptor := _lock(folder)) is None:
        now = time.monotonic()
        if holder != (found := _holder(folder)):
            holder, since = found, now
        if now - since > LOCK_PATIENCE:
            raise LockedError(folder, holder)
        if now - began > _LOCK_WORD and not is_said:
            log.warning("waiting for %s, which has locked %s", holder, folder)
            is_said = True
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_LOCK_PAUSE)
    return descriptor


def _lock(folder: Path) -> int | None:
    """A descriptor that holds the lock, or None if another process has it. Raises OSError."""
    with contextlib.ExitStack() as unless_held:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        unless_held.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        except OSError as error:
            # Some network file systems have no locks. There, going on is better than refusing all.
            log.warning(
                "%s can't be locked (%s), so run only one command at a time that changes it",
                folder,
                error.strerror,
            )
        # Between opening and locking, another folder may have been put in this place. Then the
        # lock is on the old one, where it protects nothing, and the caller tries again.
        if os.path.samestat(os.fstat(descriptor), folder.stat()):
            unless_held.pop_all()
            return descriptor
    return None


def _holder(folder: Path) -> str:
    """A text that names the process with the lock, if the system tells which one it is."""
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
