"""The image that nodes in containers are made of: the program, and nothing else."""

from collections.abc import Iterator

from nym.network.generated import File

# Also in contrib/Dockerfile, for clients. No file of an image belongs to it, and no capability.
USER = 990

_DOCKERFILE = f"""\
# The image of the nodes: the program nym-client, which has to be in this folder, and nothing else.
FROM scratch
COPY nym-client /
USER {USER}:{USER}
ENV XDG_CONFIG_HOME=/data
ENTRYPOINT ["/nym-client"]
"""

# Otherwise Docker would be given all of the folder, with the identities.
_DOCKERIGNORE = """\
*
!nym-client
"""


def image(folder: str = "") -> Iterator[File]:
    """What `docker build` needs, in a folder of a host, such as "ada/", or in the main one."""
    yield File(f"{folder}Dockerfile", _DOCKERFILE)
    yield File(f"{folder}.dockerignore", _DOCKERIGNORE)
