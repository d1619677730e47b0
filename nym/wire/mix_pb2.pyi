from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Request(_message.Message):
    __slots__ = ("send", "fetch", "clients", "details", "flush")
    SEND_FIELD_NUMBER: _ClassVar[int]
    FETCH_FIELD_NUMBER: _ClassVar[int]
    CLIENTS_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    FLUSH_FIELD_NUMBER: _ClassVar[int]
    send: Send
    fetch: Nothing
    clients: Nothing
    details: Nothing
    flush: Nothing
    def __init__(self, send: _Optional[_Union[Send, _Mapping]] = ..., fetch: _Optional[_Union[Nothing, _Mapping]] = ..., clients: _Optional[_Union[Nothing, _Mapping]] = ..., details: _Optional[_Union[Nothing, _Mapping]] = ..., flush: _Optional[_Union[Nothing, _Mapping]] = ...) -> None: ...

class Response(_message.Message):
    __slots__ = ("exception", "send", "fetch", "clients", "details", "flush")
    EXCEPTION_FIELD_NUMBER: _ClassVar[int]
    SEND_FIELD_NUMBER: _ClassVar[int]
    FETCH_FIELD_NUMBER: _ClassVar[int]
    CLIENTS_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    FLUSH_FIELD_NUMBER: _ClassVar[int]
    exception: Failure
    send: Nothing
    fetch: Messages
    clients: Clients
    details: Details
    flush: Nothing
    def __init__(self, exception: _Optional[_Union[Failure, _Mapping]] = ..., send: _Optional[_Union[Nothing, _Mapping]] = ..., fetch: _Optional[_Union[Messages, _Mapping]] = ..., clients: _Optional[_Union[Clients, _Mapping]] = ..., details: _Optional[_Union[Details, _Mapping]] = ..., flush: _Optional[_Union[Nothing, _Mapping]] = ...) -> None: ...

class Nothing(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Send(_message.Message):
    __slots__ = ("message", "recipient")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    message: bytes
    recipient: Client
    def __init__(self, message: _Optional[bytes] = ..., recipient: _Optional[_Union[Client, _Mapping]] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("error",)
    ERROR_FIELD_NUMBER: _ClassVar[int]
    error: str
    def __init__(self, error: _Optional[str] = ...) -> None: ...

class Messages(_message.Message):
    __slots__ = ("messages", "sealed")
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedScalarFieldContainer[bytes]
    sealed: _containers.RepeatedScalarFieldContainer[bool]
    def __init__(self, messages: _Optional[_Iterable[bytes]] = ..., sealed: _Optional[_Iterable[bool]] = ...) -> None: ...

class Clients(_message.Message):
    __slots__ = ("clients",)
    CLIENTS_FIELD_NUMBER: _ClassVar[int]
    clients: _containers.RepeatedCompositeFieldContainer[Client]
    def __init__(self, clients: _Optional[_Iterable[_Union[Client, _Mapping]]] = ...) -> None: ...

class Details(_message.Message):
    __slots__ = ("details",)
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    details: Client
    def __init__(self, details: _Optional[_Union[Client, _Mapping]] = ...) -> None: ...

class Client(_message.Message):
    __slots__ = ("id", "host", "port", "pub_key", "provider")
    ID_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    PUB_KEY_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    id: str
    host: str
    port: str
    pub_key: bytes
    provider: Provider
    def __init__(self, id: _Optional[str] = ..., host: _Optional[str] = ..., port: _Optional[str] = ..., pub_key: _Optional[bytes] = ..., provider: _Optional[_Union[Provider, _Mapping]] = ...) -> None: ...

class Provider(_message.Message):
    __slots__ = ("id", "host", "port", "pub_key", "layer")
    ID_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    PUB_KEY_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    id: str
    host: str
    port: str
    pub_key: bytes
    layer: int
    def __init__(self, id: _Optional[str] = ..., host: _Optional[str] = ..., port: _Optional[str] = ..., pub_key: _Optional[bytes] = ..., layer: _Optional[int] = ...) -> None: ...
