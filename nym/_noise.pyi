from nym._secrets import Secret

class Session:
    @property
    def remote(self) -> bytes | None: ...
    def write(self, payload: bytes) -> bytes: ...
    def read(self, message: bytes) -> bytes: ...

def initiate(
    own: tuple[bytes | Secret, bytes],
    remote: bytes,
    prologue: bytes,
    ephemeral: bytes | Secret | None = None,
) -> Session: ...
def respond(
    own: tuple[bytes | Secret, bytes], prologue: bytes, ephemeral: bytes | Secret | None = None
) -> Session: ...
