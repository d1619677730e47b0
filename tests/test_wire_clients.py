"""Lists of clients as bytes: their order, digests, changes, and everything that isn't one."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nym.errors import RemoteFormatError
from nym.wire.clients import (
    EMPTY,
    MOST_CLIENTS,
    AddressList,
    Changes,
    Digest,
    changes_between,
    decode_changes,
    longest_changes,
    parse_digest,
    read_list,
)

# Some share their first eight bytes, in which a search begins.
ADDRESSES = st.builds(
    lambda head, last: bytes([head]) * 8 + bytes(23) + bytes([last]),
    st.integers(0, 2) | st.just(255),
    st.integers(0, 5),
)
LISTS = st.sets(ADDRESSES).map(AddressList.of)
ONE, OTHER = b"a" * 32, b"b" * 32


@given(st.lists(ADDRESSES), ADDRESSES)
def test_a_list_is_the_set_of_its_addresses_in_order(addresses: list[bytes], other: bytes) -> None:
    clients = AddressList.of(addresses)
    assert list(clients) == sorted(set(addresses))
    assert len(clients) == len(set(addresses))
    assert all(address in clients for address in addresses)
    assert (other in clients) is (other in addresses)
    assert AddressList.unpack(clients.packed) == clients


def test_a_digest_is_the_number_and_sha_256() -> None:
    clients = AddressList.of([OTHER, ONE])
    hashed = hashlib.sha256(ONE + OTHER).hexdigest()
    assert str(clients.digest) == f"2-{hashed}"
    assert parse_digest(str(clients.digest)) == clients.digest
    assert str(EMPTY.digest) == f"0-{hashlib.sha256().hexdigest()}"


@pytest.mark.parametrize(
    "text", ["", "2", f"02-{'0' * 64}", f"2-{'0' * 63}", f"2-{'A' * 64}", f"2-{'0' * 64}\n"]
)
def test_a_digest_has_one_form(text: str) -> None:
    with pytest.raises(RemoteFormatError):
        parse_digest(text)


def test_no_list_has_too_many_addresses() -> None:
    assert parse_digest(str(Digest(MOST_CLIENTS, bytes(32))))
    with pytest.raises(RemoteFormatError):
        parse_digest(str(Digest(MOST_CLIENTS + 1, bytes(32))))


@given(LISTS, LISTS)
def test_changes_lead_from_one_list_to_the_other(before: AddressList, after: AddressList) -> None:
    changes = changes_between(before, after)
    data = changes.encode()
    assert len(data) <= longest_changes(before.digest, after.digest)
    assert decode_changes(data) == changes
    assert changes.apply(before) == after
    assert read_list(data, before, after.digest) == (changes, after)
    assert read_list(after.whole, before, after.digest)[1] == after


def test_changes_to_another_list_are_refused() -> None:
    changes = changes_between(AddressList(ONE), AddressList(OTHER))
    with pytest.raises(RemoteFormatError, match="another list"):
        changes.apply(AddressList(OTHER))
    with pytest.raises(RemoteFormatError, match="the digest"):
        read_list(changes.encode(), AddressList(ONE), EMPTY.digest)


@pytest.mark.parametrize(
    ("removed", "added"),
    [(OTHER, b""), (b"", ONE), (ONE, ONE), (OTHER, OTHER)],
)
def test_changes_that_change_nothing_are_refused(removed: bytes, added: bytes) -> None:
    with pytest.raises(RemoteFormatError, match="changes nothing"):
        AddressList(ONE).changed(AddressList(removed), AddressList(added))


@pytest.mark.parametrize("packed", [ONE[:31], ONE + ONE, OTHER + ONE, ONE + OTHER[:31]])
def test_bytes_out_of_order_are_no_list(packed: bytes) -> None:
    with pytest.raises(RemoteFormatError, match="order"):
        AddressList.unpack(packed)
    whole = Changes(EMPTY.digest, EMPTY, AddressList(packed)).encode()
    with pytest.raises(RemoteFormatError):
        decode_changes(whole)


@given(st.binary(max_size=200), LISTS)
def test_any_bytes_are_changes_or_refused(data: bytes, before: AddressList) -> None:
    try:
        changes = decode_changes(data)
    except RemoteFormatError:
        return
    assert changes.encode() == data
