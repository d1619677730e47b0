"""The folders of this user's clients and nodes, and which of them a command means by its --id.

Each kind of program has its folder: clients/ID, mixnodes/ID, providers/ID, directories/ID. No two
programs of one user have the same id, so that commands for all kinds need no more than that.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from nym.cli.options import checked, nym_folder
from nym.config.checks import check_id
from nym.config.folders import FOLDERS
from nym.config.setting import Sections
from nym.errors import ConfigError, IdentityError, UsageError
from nym.files import is_folder, os_errors_as
from nym.sockets import CONTROL_SOCKET, NODE_SOCKET

# How the name of a folder begins while its program is being deleted. If that is interrupted, the
# folder that is left over is not listed.
REMOVED = ".deleted-"


class Role(NamedTuple):
    """A kind of program: its name, and how one is started.

    `socket` is the file of its control socket, in its own folder.
    """

    name: str
    start: str
    socket: str = NODE_SOCKET

    @property
    def folder(self) -> str:
        """The folder of all such programs."""
        return FOLDERS[self.name]

    def settings(self) -> type[Sections]:
        """The class of its settings."""
        # Imported here, as most commands need only those of clients, or none.
        if self is CLIENT:
            from nym.config import Config

            return Config
        from nym.config import nodes

        kinds = {
            MIXNODE: nodes.MixnodeConfig,
            PROVIDER: nodes.ProviderConfig,
            DIRECTORY: nodes.DirectoryConfig,
        }
        return kinds[self]


CLIENT = Role("client", "nym-client tcpsocket --id", CONTROL_SOCKET)
MIXNODE = Role("mixnode", "nym-client mixnode --id")
PROVIDER = Role("provider", "nym-client provider --id")
DIRECTORY = Role("directory", "nym-client directory --id")
CLIENTS: Sequence[Role] = (CLIENT,)
ALL: Sequence[Role] = (CLIENT, MIXNODE, PROVIDER, DIRECTORY)


class Home(NamedTuple):
    """The folder of a program, which may not exist yet.

    `command` starts it where not any program of the role will do.
    """

    role: Role
    folder: Path
    command: str = ""

    def __str__(self) -> str:
        return f'{self.role.name} "{self.folder.name}"'

    @property
    def quoted(self) -> str:
        """Its id, for a command line that people can copy."""
        return shlex.quote(self.folder.name)

    @property
    def socket(self) -> Path:
        """Its control socket."""
        return self.folder / self.role.socket

    @property
    def start(self) -> str:
        """The command that starts it."""
        return f"{self.command or self.role.start} {self.quoted}"


def home(role: Role, name: str) -> Home:
    """Where a program with this id has its folder, or would have it. Raises UsageError."""
    checked("--id", name, check_id)
    return Home(role, nym_folder() / role.folder / name)


def client_folder(client_id: str) -> Path:
    """The folder of one client, which may not exist. Raises UsageError."""
    return home(CLIENT, client_id).folder


def existing_folder(client_id: str) -> Path:
    """The folder of an existing client. Raises IdentityError, ConfigError, UsageError."""
    return existing(client_id).folder


def existing(name: str, roles: Sequence[Role] = CLIENTS) -> Home:
    """The program with this id. Raises IdentityError, ConfigError, UsageError."""
    for role in roles:
        place = home(role, name)
        with os_errors_as(ConfigError, f"{place.folder} can't be used"):
            if is_folder(place.folder):
                return place
    raise IdentityError(_no_such(name, roles))


def check_unused(place: Home) -> None:
    """Raises IdentityError if a program of another kind has this id already."""
    for other in known(ALL):
        if other.folder.name == place.folder.name and other.role != place.role:
            raise IdentityError(f"there is a {other} already; choose another --id")


def known(roles: Sequence[Role]) -> list[Home]:
    """All programs of this user, in order. Raises ConfigError."""
    return [Home(role, folder) for role in roles for folder in _folders(role)]


def known_ids(roles: Sequence[Role] = CLIENTS) -> list[str]:
    """The ids of this user's programs. Raises ConfigError."""
    return [place.folder.name for place in known(roles)]


def none_there(roles: Sequence[Role] = CLIENTS) -> str:
    """What to tell a user who has none."""
    return f"there is no {_names(roles)} in {_where(roles)}; make one with: {_make(roles)} ID"


def only(roles: Sequence[Role] = CLIENTS) -> str:
    """The id of this user's program if there is only one. Raises IdentityError, UsageError.

    If there are several, no default is guessed: the command might send under the wrong name.
    """
    match known_ids(roles):
        case [one]:
            return one
        case []:
            raise IdentityError(none_there(roles))
        case several:
            raise UsageError(f"--id ID is missing; there are {', '.join(several)}")


def _folders(role: Role) -> list[Path]:
    folder = nym_folder() / role.folder
    with os_errors_as(ConfigError, f"{folder} can't be read"):
        if not is_folder(folder):
            return []
        return sorted(path for path in folder.iterdir() if is_folder(path) and _is_id(path.name))


def _is_id(name: str) -> bool:
    try:
        check_id(name)
    except ValueError:
        return False
    return not name.startswith(REMOVED)


def _no_such(name: str, roles: Sequence[Role]) -> str:
    others = known_ids(roles)
    there = f" (there are: {', '.join(others)})" if others else ""
    elsewhere = [place for place in known(ALL) if place.folder.name == name]
    if elsewhere:
        return f'"{name}" is a {elsewhere[0].role.name}, and this command is for {_names(roles)}s'
    return (
        f'there is no {_names(roles)} "{name}" in {_where(roles)}{there}; make it with: '
        f"{_make(roles)} {shlex.quote(name)}"
    )


def _names(roles: Sequence[Role]) -> str:
    return roles[0].name if len(roles) == 1 else "client or node"


def _where(roles: Sequence[Role]) -> Path:
    return nym_folder() / roles[0].folder if len(roles) == 1 else nym_folder()


def _make(roles: Sequence[Role]) -> str:
    return "nym-client init --id" if CLIENT in roles else roles[0].start
