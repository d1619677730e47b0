"""Envelopes: compared with vectors and with libsodium, and attacked by forgers.

docs/protocol/envelope.md describes the format.
"""

import json
from collections import Counter
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pysodium
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nym import sphinx
from nym._secrets import Secret
from nym.envelope import (
    ANONYMOUS_CAPACITY,
    MOST_RUNS,
    RELIABLE_CAPACITY,
    Acknowledgement,
    Content,
    Cover,
    Envelopes,
    Fragment,
    ProviderNote,
    Reply,
    ReplyHead,
    Run,
    Unreadable,
    fragment,
    fragment_count,
)
from nym.errors import GroupElementError, LengthError, MessageTooLongError
from nym.identity import Identity, generate_identity
from nym.wire.sizes import LONGEST_MESSAGE, LONGEST_SEALED

VECTORS = json.loads((Path(__file__).parent / "vectors" / "envelopes.json").read_text())
CASES = VECTORS["cases"]
READ = [case for case in CASES if "content" in case]
REFUSED = [case for case in CASES if "refused" in case]
BOXES = [case for case in CASES if "plaintext" in case]

PLAINTEXT = 927  # bytes: an envelope's 975 without the 48 that a sealed box adds
L = 2**252 + 27742317777372353535851937790883648493  # the order of Curve25519's group (RFC 7748)
EDGE = L - 2**252  # 8t has no clamped form if t, modulo L, is at most this far from 0
P = 2**255 - 19  # the field of Curve25519
ID = bytes(range(16))
ALICE, BOB, EVE = (generate_identity() for _ in range(3))
FROM_ALICE, FROM_BOB, FROM_EVE = (Envelopes(identity) for identity in (ALICE, BOB, EVE))


def named(case: dict[str, str]) -> str:
    return case["name"]


def identity_of(scalar: int) -> Identity:
    private_key = scalar.to_bytes(32, "little")
    return Identity(Secret(private_key), sphinx.public_key(private_key))


def vector_identity(name: str) -> Identity:
    keys = VECTORS["keys"][name]
    return Identity(Secret(bytes.fromhex(keys["private_key"])), bytes.fromhex(keys["public_key"]))


def clamped(scalar: int) -> bytes | None:
    """The clamped scalar that is plus or minus this one modulo l, if there is one.

    libsodium takes clamped scalars only, and X25519 ignores the sign.
    """
    t = scalar * pow(8, -1, L) % L
    fitting = [t for t in (t, L - t) if 2**251 <= t < 2**252]
    return (8 * fitting[0]).to_bytes(32, "little") if fitting else None


def nonce_of(ephemeral: bytes, recipient: bytes) -> bytes:
    return blake2b(ephemeral + recipient, digest_size=24).digest()


def unseal(identity: Identity, envelope: bytes) -> bytes:
    """The plaintext of an envelope, as libsodium opens it.

    A private key without a clamped form is split into two factors that have one.
    """
    scalar = int.from_bytes(identity.private_key, "little")
    opened: bytes
    key = clamped(scalar)
    if key is not None:
        opened = pysodium.crypto_box_seal_open(envelope, identity.public_key, key)
    else:
        part = pysodium.crypto_scalarmult_curve25519(clamped(pow(2**126, -1, L)), envelope[:32])
        nonce = nonce_of(envelope[:32], identity.public_key)
        opened = pysodium.crypto_box_open(envelope[32:], nonce, part, clamped(scalar * 2**126 % L))
    return opened


def authenticator(own: Identity, peer: bytes, recipient: bytes, text: bytes) -> bytes:
    """The authenticator, as the document defines it, of a plaintext; `text` is the rest of it."""
    product = sphinx.multiply(own.private_key, peer)
    key = blake2b(product, digest_size=32, person=b"nym-envelope-key").digest()
    return blake2b(recipient + text, digest_size=16, key=key, person=b"nym-envelope-mac").digest()


def content_of(case: dict[str, Any]) -> Content:
    fields = {key: value for key, value in case["content"].items() if key != "kind"}
    runs = tuple(Run(bytes.fromhex(i), first, last) for i, first, last in fields.pop("runs", []))
    values: dict[str, Any] = {
        key: bytes.fromhex(value) if isinstance(value, str) else value
        for key, value in fields.items()
    }
    match case["content"]["kind"]:
        case "cover":
            return Cover(**values)
        case "fragment":
            return Fragment(**values)
    return Acknowledgement(runs, **values)


def test_the_set_has_cases() -> None:
    assert Counter(case["content"]["kind"] for case in READ) == {
        "cover": 3,
        "fragment": 12,
        "acknowledgement": 3,
    }
    assert Counter(case["refused"] for case in REFUSED) == {"no envelope": 15, "unreadable": 57}
    assert len(BOXES) == 75
    forms = {keys["clamped_form"] for keys in VECTORS["keys"].values()}
    assert forms == {"itself", "negated", "split"}


@pytest.mark.parametrize("case", BOXES, ids=named)
def test_the_boxes_of_the_set_are_libsodiums(case: dict[str, str]) -> None:
    recipient = vector_identity(case["recipient"]).public_key
    secret = bytes.fromhex(case["ephemeral_secret"])
    plaintext = bytes.fromhex(case["plaintext"]).ljust(PLAINTEXT, b"\0")
    ephemeral = pysodium.crypto_scalarmult_base(secret)
    box = pysodium.crypto_box(plaintext, nonce_of(ephemeral, recipient), recipient, secret)
    assert (ephemeral + box).hex() == case["envelope"]


@pytest.mark.parametrize("case", READ, ids=named)
def test_envelopes_of_the_set_are_read_and_made(case: dict[str, Any]) -> None:
    recipient = vector_identity(case["recipient"])
    content = content_of(case)
    assert Envelopes(recipient).open(bytes.fromhex(case["envelope"])) == content
    (sender,) = [
        vector_identity(name)
        for name, keys in VECTORS["keys"].items()
        if keys["public_key"] == (case["content"].get("sender") or recipient.public_key.hex())
    ]
    sealed = Envelopes(sender).seal(content, recipient.public_key)
    plaintext = bytes.fromhex(case["plaintext"]).ljust(PLAINTEXT, b"\0")
    assert unseal(recipient, sealed) == plaintext


@pytest.mark.parametrize("case", REFUSED, ids=named)
def test_envelopes_of_the_set_are_refused(case: dict[str, str]) -> None:
    recipient = Envelopes(vector_identity(case["recipient"]))
    opened = recipient.open(bytes.fromhex(case["envelope"]))
    if case["refused"] == "no envelope":
        assert opened is None
    else:
        assert isinstance(opened, Unreadable)
        assert opened.reason


ids = st.binary(min_size=16, max_size=16)


@st.composite
def fragments(draw: st.DrawFn, sender: bytes | None) -> Fragment:
    capacity = ANONYMOUS_CAPACITY if sender is None else RELIABLE_CAPACITY
    length = draw(st.integers(0, 3 * capacity) | st.integers(0, LONGEST_SEALED))
    count = max(1, (length + capacity - 1) // capacity)
    index = draw(st.integers(0, count - 1))
    size = min(capacity, length - index * capacity)
    return Fragment(draw(ids), index, count, draw(st.binary(min_size=size, max_size=size)), sender)


@st.composite
def runs(draw: st.DrawFn) -> Run:
    first = draw(st.integers(0, 19622))
    return Run(draw(ids), first, draw(st.integers(first, 19622)))


def acknowledgements(sender: bytes) -> st.SearchStrategy[Acknowledgement]:
    return st.lists(runs(), min_size=1, max_size=MOST_RUNS).map(
        lambda drawn: Acknowledgement(tuple(drawn), sender)
    )


def contents(sender: bytes) -> st.SearchStrategy[Content]:
    notes = st.builds(
        ProviderNote,
        st.binary(min_size=32, max_size=32),
        st.integers(0, 2**64 - 1),
        st.just(sender),
    )
    return st.one_of(
        ids.map(Cover), fragments(None), fragments(sender), acknowledgements(sender), notes
    )


# Any scalar, or one that has no clamped form, which random draws would hardly ever meet.
scalars = st.integers(1, L - 1) | st.integers(-EDGE, EDGE).filter(bool).map(lambda t: 8 * t % L)


@given(contents(ALICE.public_key))
def test_what_is_sealed_is_opened_by_its_recipient_alone(content: Content) -> None:
    sealed = FROM_ALICE.seal(content, BOB.public_key)
    assert len(sealed) == LONGEST_MESSAGE
    assert FROM_BOB.open(sealed) == content
    assert FROM_EVE.open(sealed) is None
    assert FROM_ALICE.open(sealed) is None


@given(fragments(ALICE.public_key), st.booleans(), st.booleans(), ids)
def test_fragments_of_answers_have_the_layout_of_the_document(
    piece: Fragment, is_acknowledged: bool, is_answerable: bool, secret: bytes
) -> None:
    content = replace(piece, reply=Reply(is_acknowledged, is_answerable))
    sealed = FROM_ALICE.seal(content, BOB.public_key, secret)
    head = bytes([1, 6 + is_acknowledged + 2 * is_answerable])
    numbers = b"".join(n.to_bytes(2, "big") for n in (piece.index, piece.count, len(piece.data)))
    body = ALICE.public_key + piece.message_id + numbers + piece.data
    rest = (head + body).ljust(PLAINTEXT - 16, b"\0")
    product = sphinx.multiply(ALICE.private_key, BOB.public_key)
    key = blake2b(product + secret, digest_size=32, person=b"nym-envelope-key").digest()
    mac = blake2b(BOB.public_key + rest, digest_size=16, key=key, person=b"nym-envelope-mac")
    assert unseal(BOB, sealed) == head + mac.digest() + rest[2:]
    assert Envelopes(BOB, secret).open(sealed) == content
    assert content.is_acknowledged == is_acknowledged
    for others in (b"", bytes(16), secret[::-1]):
        if others != secret:
            assert isinstance(Envelopes(BOB, others).open(sealed), Unreadable)


@given(contents(ALICE.public_key))
def test_a_reply_address_takes_only_loops_acknowledgements_and_answers(content: Content) -> None:
    opened = Envelopes(BOB, bytes(16)).open(FROM_ALICE.seal(content, BOB.public_key))
    if isinstance(content, Cover | Acknowledgement):
        assert opened == content
    else:
        assert isinstance(opened, Unreadable)


@given(st.integers(0, 2**64 - 1), st.binary(min_size=32, max_size=32), ids, st.binary())
def test_a_head_stands_before_its_message(
    expires: int, provider: bytes, secret: bytes, message: bytes
) -> None:
    head = ReplyHead(expires, provider, secret)
    assert head.encode() == expires.to_bytes(8, "big") + provider + secret
    assert ReplyHead.decode(head.encode() + message) == head
    assert ReplyHead.decode(head.encode()[:-1]) is None


@given(scalars, scalars, st.data())
def test_any_private_key_will_do(sender: int, recipient: int, data: st.DataObject) -> None:
    one, other = identity_of(sender), identity_of(recipient)
    content = data.draw(contents(one.public_key))
    assert Envelopes(other).open(Envelopes(one).seal(content, other.public_key)) == content


@pytest.mark.parametrize(
    ("scalar", "form"),
    [
        (8 * 2**251, "itself"),
        (8 * (2**252 - 1), "itself"),
        (8 * (2**251 - 1), "negated"),
        (8 * (EDGE + 1), "negated"),
        (8, "none"),
        (8 * (L - 1), "none"),
        (8 * EDGE, "none"),
        (8 * (L - EDGE), "none"),
    ],
)
def test_each_form_of_private_key(scalar: int, form: str) -> None:
    recipient = identity_of(scalar % L)
    found = clamped(scalar % L)
    if form == "none":
        assert found is None
    else:
        c = int.from_bytes(found or b"", "little")
        assert (c - (scalar if form == "itself" else -scalar)) % L == 0
    envelope = pysodium.crypto_box_seal(
        (b"\1\1" + ID).ljust(PLAINTEXT, b"\0"), recipient.public_key
    )
    assert Envelopes(recipient).open(envelope) == Cover(ID)
    sealed = FROM_ALICE.seal(Cover(ID), recipient.public_key)
    assert unseal(recipient, sealed) == (b"\1\1" + ID).ljust(PLAINTEXT, b"\0")


@given(scalars.filter(clamped), contents(ALICE.public_key))
def test_libsodium_opens_what_we_seal(scalar: int, content: Content) -> None:
    recipient = identity_of(scalar)
    sealed = FROM_ALICE.seal(content, recipient.public_key)
    plaintext = pysodium.crypto_box_seal_open(sealed, recipient.public_key, clamped(scalar))
    assert len(plaintext) == PLAINTEXT
    assert plaintext[:1] == b"\1"


@given(scalars, contents(ALICE.public_key))
def test_we_open_what_libsodium_seals(scalar: int, content: Content) -> None:
    recipient = identity_of(scalar)
    plaintext = unseal(recipient, FROM_ALICE.seal(content, recipient.public_key))
    sealed = pysodium.crypto_box_seal(plaintext, recipient.public_key)
    assert Envelopes(recipient).open(sealed) == content


@pytest.mark.parametrize("bit", range(8))
def test_whatever_is_changed_it_is_no_envelope_any_more(bit: int) -> None:
    sealed = FROM_ALICE.seal(fragment(b"hello", ID, 0, ALICE.public_key), BOB.public_key)
    for at in range(LONGEST_MESSAGE):
        changed = bytearray(sealed)
        changed[at] ^= 1 << bit
        assert FROM_BOB.open(bytes(changed)) is None, f"it opens though byte {at} was changed"
    assert FROM_BOB.open(sealed) is not None


@given(st.binary(max_size=2000) | st.binary(min_size=LONGEST_MESSAGE, max_size=LONGEST_MESSAGE))
def test_what_was_never_sealed_is_no_envelope(data: bytes) -> None:
    assert FROM_BOB.open(data) is None


@given(st.binary(max_size=LONGEST_MESSAGE - 48).filter(lambda data: len(data) != PLAINTEXT))
def test_a_box_of_another_length_is_no_envelope(data: bytes) -> None:
    assert FROM_BOB.open(pysodium.crypto_box_seal(data, BOB.public_key)) is None


def test_an_envelope_is_no_other_one_with_bytes_around_it() -> None:
    sealed = FROM_ALICE.seal(Cover(ID), BOB.public_key)
    for data in (sealed + b"\0", b"\0" + sealed, sealed[1:], sealed[:-1], sealed + sealed):
        assert FROM_BOB.open(data) is None


# Authenticators of reliable fragments and acknowledgements.

RELIABLE = fragment(b"hello", ID, 0, ALICE.public_key)
RECEIPT = Acknowledgement((Run(ID, 0, 7),), ALICE.public_key)
NOTE = ProviderNote(BOB.public_key, 1 << 40, ALICE.public_key)
each_authenticated = pytest.mark.parametrize(
    "content", [RELIABLE, RECEIPT, NOTE], ids=["fragment", "acknowledgement", "note"]
)


def plaintext_of(content: Content) -> bytes:
    return unseal(BOB, FROM_ALICE.seal(content, BOB.public_key))


def opened_by_bob(plaintext: bytes) -> Content | Unreadable | None:
    return FROM_BOB.open(pysodium.crypto_box_seal(plaintext, BOB.public_key))


@each_authenticated
def test_every_byte_is_authenticated(content: Content) -> None:
    plaintext = plaintext_of(content)
    assert opened_by_bob(plaintext) == content
    for at in range(PLAINTEXT):
        changed = bytearray(plaintext)
        changed[at] ^= 0x10
        assert isinstance(opened_by_bob(bytes(changed)), Unreadable), (
            f"it is read though byte {at} was changed"
        )


@each_authenticated
def test_the_kind_is_authenticated(content: Content) -> None:
    plaintext = plaintext_of(content)
    for kind in range(256):
        opened = opened_by_bob(plaintext[:1] + bytes([kind]) + plaintext[2:])
        assert opened == content if kind == plaintext[1] else isinstance(opened, Unreadable), (
            f"wrong if the kind is {kind}: {opened}"
        )


@each_authenticated
def test_nobody_can_send_it_on_or_back(content: Content) -> None:
    plaintext = plaintext_of(content)
    in_bobs_name = plaintext[:18] + BOB.public_key + plaintext[50:]
    for text in (plaintext, in_bobs_name):
        for identity, envelopes in ((ALICE, FROM_ALICE), (EVE, FROM_EVE)):
            envelope = pysodium.crypto_box_seal(text, identity.public_key)
            assert isinstance(envelopes.open(envelope), Unreadable)
    assert isinstance(opened_by_bob(in_bobs_name), Unreadable)


@each_authenticated
def test_strangers_cannot_speak_in_anothers_name(content: Content) -> None:
    plaintext = plaintext_of(content)
    text = plaintext[:2] + plaintext[18:]
    for own, peer in ((EVE, BOB), (EVE, ALICE), (EVE, EVE)):
        forged = authenticator(own, peer.public_key, BOB.public_key, text)
        opened = opened_by_bob(plaintext[:2] + forged + plaintext[18:])
        assert isinstance(opened, Unreadable)


def test_the_recipient_could_have_made_it_itself() -> None:
    plaintext = plaintext_of(RELIABLE)
    text = plaintext[:2] + plaintext[18:]
    made_by_bob = authenticator(BOB, ALICE.public_key, BOB.public_key, text)
    assert made_by_bob == plaintext[2:18]
    assert made_by_bob == authenticator(ALICE, BOB.public_key, BOB.public_key, text)


def test_both_directions_have_authenticators_of_their_own() -> None:
    rest = plaintext_of(RELIABLE)[50:]
    assert FROM_ALICE.open(
        FROM_BOB.seal(replace(RELIABLE, sender=BOB.public_key), ALICE.public_key)
    ) == replace(RELIABLE, sender=BOB.public_key)
    from_bob = b"\1\3" + BOB.public_key + rest
    for recipient in (BOB, EVE):
        forged = authenticator(BOB, ALICE.public_key, recipient.public_key, from_bob)
        envelope = pysodium.crypto_box_seal(from_bob[:2] + forged + from_bob[2:], ALICE.public_key)
        assert isinstance(FROM_ALICE.open(envelope), Unreadable)


def test_keys_of_many_peers_are_not_kept_for_ever() -> None:
    bob = Envelopes(BOB)
    for _ in range(300):
        sender = generate_identity()
        content = replace(RELIABLE, sender=sender.public_key)
        assert bob.open(Envelopes(sender).seal(content, BOB.public_key)) == content
    assert bob._pair_key.cache_info().currsize == 256
    assert bob.open(FROM_ALICE.seal(RELIABLE, BOB.public_key)) == RELIABLE


@pytest.mark.parametrize("content", [Cover(ID), fragment(b"hello", ID, 0), RELIABLE, RECEIPT])
def test_other_kinds_are_not_taken_for_one_of_the_four(content: Content) -> None:
    plaintext = plaintext_of(content)
    without = (plaintext[18:] + bytes(16))[: PLAINTEXT - 2]
    for kind in (0, *range(5, 256)):
        for body in (plaintext[2:], without):
            opened = opened_by_bob(b"\1" + bytes([kind]) + body)
            assert isinstance(opened, Unreadable), f"an unknown kind, {kind}, is read: {opened}"


# Addresses and contents to which nothing is sealed.

LOW_ORDER = [
    point + top
    for top in (0, 2**255)
    for point in (
        0,
        1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
        P - 1,
        P,
        P + 1,
    )
]


@pytest.mark.parametrize("point", LOW_ORDER)
def test_nothing_is_sealed_to_points_of_low_order(point: int) -> None:
    address = point.to_bytes(32, "little")
    assert not sphinx.can_share_secret(address)
    with pytest.raises(ValueError):  # noqa: PT011, pysodium gives no text
        pysodium.crypto_box_seal(b"", address)
    for content in (Cover(ID), fragment(b"", ID, 0), RELIABLE, RECEIPT):
        with pytest.raises(GroupElementError):
            FROM_ALICE.seal(content, address)


def test_every_public_key_is_an_address() -> None:
    for identity in (ALICE, BOB, *(generate_identity() for _ in range(50))):
        assert sphinx.is_public_key(identity.public_key)


def aliases(address: bytes) -> dict[str, bytes]:
    """Other encodings of an address: with each, anybody shares the same secrets as with it."""
    number = int.from_bytes(address, "little")
    forms = {"the top bit is set": number | 1 << 255}
    if number < 19:
        forms["it isn't reduced"] = number + P
    forms |= {
        f"a point of order {order} is added": plus(number, point)
        for order, point in ((2, 0), (4, 1), (8, LOW_ORDER[2]), (8, LOW_ORDER[3]))
    }
    return {name: form.to_bytes(32, "little") for name, form in forms.items()}


def plus(u: int, torsion: int) -> int:
    """The u-coordinate of the sum, or difference, of two points on y^2 = x^3 + 486662x^2 + x."""
    if torsion == 0:  # (x, y) + (0, 0) has the x-coordinate 1/x
        return pow(u, -1, P)

    def root(square: int) -> int:
        found = pow(square, (P + 3) // 8, P)
        if found * found % P != square % P:
            found = found * pow(2, (P - 1) // 4, P) % P
        return found

    def y_of(x: int) -> int:
        return root((x**3 + 486662 * x**2 + x) % P)

    slope = (y_of(torsion) - y_of(u)) * pow(torsion - u, -1, P) % P
    return (slope * slope - 486662 - u - torsion) % P


@pytest.mark.parametrize("form", aliases(ALICE.public_key))
def test_another_form_of_an_address_is_nobodys(form: str) -> None:
    alias = aliases(ALICE.public_key)[form]
    assert not sphinx.is_public_key(alias)
    with pytest.raises(GroupElementError):
        FROM_BOB.seal(Cover(ID), alias)


def test_the_base_point_has_a_form_that_is_not_reduced() -> None:
    assert sphinx.is_public_key((9).to_bytes(32, "little"))
    assert not sphinx.is_public_key((9 + P).to_bytes(32, "little"))


@pytest.mark.parametrize("form", aliases(ALICE.public_key))
def test_no_sender_is_authenticated_under_another_form_of_its_address(form: str) -> None:
    """A program that doesn't check its own address could send such an envelope."""
    alias = aliases(ALICE.public_key)[form]
    secret = sphinx.multiply(ALICE.private_key, BOB.public_key)
    if sphinx.multiply(BOB.private_key, alias) != secret:
        pytest.fail("this is no alias")
    key = blake2b(secret, digest_size=32, person=b"nym-envelope-key").digest()
    head, body = b"\1\3", alias + b"m" * 16 + bytes([0, 0, 0, 1, 0, 2]) + b"hi"
    body = body.ljust(PLAINTEXT - len(head) - 16, b"\0")
    tag = blake2b(
        BOB.public_key + head + body, digest_size=16, key=key, person=b"nym-envelope-mac"
    ).digest()
    sealed = pysodium.crypto_box_seal(head + tag + body, BOB.public_key)
    assert isinstance(Envelopes(BOB).open(sealed), Unreadable)


@given(st.binary(min_size=32, max_size=32))
@example(LOW_ORDER[1].to_bytes(32, "little"))
@example(LOW_ORDER[10].to_bytes(32, "little"))
def test_what_can_share_a_secret_has_products(key: bytes) -> None:
    try:
        sphinx.multiply((1).to_bytes(32, "little"), key)
    except GroupElementError:
        assert not sphinx.can_share_secret(key)
    else:
        assert sphinx.can_share_secret(key)


@given(st.binary(min_size=32, max_size=32))
def test_most_bytes_are_nobodys_address(address: bytes) -> None:
    number = int.from_bytes(address, "little")
    canonical = number < P and sphinx.can_share_secret(address)
    if sphinx.is_public_key(address):
        assert canonical
        assert len(FROM_ALICE.seal(RELIABLE, address)) == LONGEST_MESSAGE
    else:
        with pytest.raises(GroupElementError):
            FROM_ALICE.seal(RELIABLE, address)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_an_address_has_32_bytes(length: int) -> None:
    assert not sphinx.can_share_secret(bytes(length))
    for content in (Cover(ID), RELIABLE):
        with pytest.raises(LengthError):
            FROM_ALICE.seal(content, bytes(length))


@pytest.mark.parametrize(
    "content",
    [
        Cover(bytes(15)),
        Cover(bytes(17)),
        Fragment(bytes(15), 0, 1, b""),
        Fragment(bytes(17), 0, 1, b""),
        Fragment(ID, -1, 1, b""),
        Fragment(ID, -1, 1, bytes(ANONYMOUS_CAPACITY)),
        Fragment(ID, 0, 0, b""),
        Fragment(ID, 1, 1, b""),
        Fragment(ID, 0, 2, b"not full"),
        Fragment(ID, 1, 2, b""),
        Fragment(ID, 0, 1, bytes(ANONYMOUS_CAPACITY + 1)),
        Fragment(ID, 0, 1, bytes(RELIABLE_CAPACITY + 1), ALICE.public_key),
        Fragment(ID, 0, 2, bytes(RELIABLE_CAPACITY)),
        Fragment(ID, 0, 18581, bytes(ANONYMOUS_CAPACITY)),
        Fragment(ID, 0, 19624, bytes(RELIABLE_CAPACITY), ALICE.public_key),
        Fragment(ID, 0, 1 << 16, bytes(ANONYMOUS_CAPACITY)),
        fragment(b"hello", ID, 1),
        fragment(b"hello", ID, -1),
        replace(RELIABLE, sender=BOB.public_key),
        replace(RELIABLE, sender=b""),
        RECEIPT._replace(sender=BOB.public_key),
        RECEIPT._replace(runs=()),
        RECEIPT._replace(runs=RECEIPT.runs * (MOST_RUNS + 1)),
        RECEIPT._replace(runs=(Run(bytes(15), 0, 0),)),
        RECEIPT._replace(runs=(Run(ID, -1, 0),)),
        RECEIPT._replace(runs=(Run(ID, 1, 0),)),
        RECEIPT._replace(runs=(Run(ID, 0, 19623),)),
        RECEIPT._replace(runs=(*RECEIPT.runs, Run(ID, 0, 1 << 16))),
    ],
)
def test_what_nobody_would_read_is_not_sealed(content: Content) -> None:
    with pytest.raises(ValueError):  # noqa: PT011, each content has another text
        FROM_ALICE.seal(content, BOB.public_key)


# What a provider sees of envelopes.


KINDS: dict[str, Content] = {
    "cover": Cover(ID),
    "an empty message": fragment(b"", ID, 0),
    "a full fragment": fragment(bytes(ANONYMOUS_CAPACITY), ID, 0),
    "a reliable message": RELIABLE,
    "one run": RECEIPT,
    "as many runs as fit": RECEIPT._replace(runs=RECEIPT.runs * MOST_RUNS),
}


@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_look_alike(kind: str) -> None:
    envelopes = [FROM_ALICE.seal(KINDS[kind], BOB.public_key) for _ in range(300)]
    assert {len(envelope) for envelope in envelopes} == {LONGEST_MESSAGE}
    # Only the highest bit of the ephemeral point is the same in all envelopes.
    assert {envelope[31] >> 7 for envelope in envelopes} == {0}
    # In 300 draws, about 177 of 256 values occur, or about 116 of 128 where the top bit is fixed,
    # give or take 6. So 80 is far below chance, but far above a byte that shows the kind.
    assert min(len(set(column)) for column in zip(*envelopes, strict=True)) > 80
    for clear in (ID, ALICE.public_key, BOB.public_key):
        assert not any(clear[:8] in envelope for envelope in envelopes)
    counts = Counter(b"".join(envelope[32:] for envelope in envelopes))
    expected = 300 * (LONGEST_MESSAGE - 32) / 256
    chi_squared = sum((counts[value] - expected) ** 2 / expected for value in range(256))
    assert chi_squared < 255 + 10 * 510**0.5  # ten standard deviations


def test_the_same_content_is_never_sealed_the_same() -> None:
    one, other = (FROM_ALICE.seal(RELIABLE, BOB.public_key) for _ in range(2))
    # By chance, one byte of 256 is the same in both, which are about four.
    assert sum(a == b for a, b in zip(one, other, strict=True)) < 40
    assert unseal(BOB, one) == unseal(BOB, other)


# Fragments of long messages.


def test_capacities() -> None:
    assert ANONYMOUS_CAPACITY == 903
    assert RELIABLE_CAPACITY == 855
    assert MOST_RUNS == 43
    assert LONGEST_SEALED == 16 * 1024 * 1024


@pytest.mark.parametrize(
    ("reliable", "length", "count"),
    [
        (False, 0, 1),
        (False, 1, 1),
        (False, 903, 1),
        (False, 904, 2),
        (False, 1806, 2),
        (False, 1807, 3),
        (False, LONGEST_SEALED - 1, 18580),
        (False, LONGEST_SEALED, 18580),
        (True, 0, 1),
        (True, 1, 1),
        (True, 855, 1),
        (True, 856, 2),
        (True, 1710, 2),
        (True, 1711, 3),
        (True, LONGEST_SEALED - 1, 19623),
        (True, LONGEST_SEALED, 19623),
    ],
)
def test_how_many_fragments(reliable: bool, length: int, count: int) -> None:
    assert fragment_count(length, reliable=reliable) == count


@pytest.mark.parametrize("sender", [None, ALICE.public_key], ids=["anonymous", "reliable"])
def test_longer_messages_are_refused(sender: bytes | None) -> None:
    with pytest.raises(MessageTooLongError):
        fragment_count(LONGEST_SEALED + 1, reliable=sender is not None)
    with pytest.raises(MessageTooLongError):
        fragment(bytes(LONGEST_SEALED + 1), ID, 0, sender)


@pytest.mark.parametrize("sender", [None, ALICE.public_key], ids=["anonymous", "reliable"])
@pytest.mark.parametrize(
    "length", [0, 1, *(n + d for n in (855, 903, 1710, 1806) for d in (-1, 0, 1)), 1 << 20]
)
def test_cut_sealed_opened_and_joined(sender: bytes | None, length: int) -> None:
    message = (bytes(range(251)) * (length // 251 + 1))[:length]
    count = fragment_count(length, reliable=sender is not None)
    joined = b""
    for index in range(count):
        opened = FROM_BOB.open(
            FROM_ALICE.seal(fragment(message, ID, index, sender), BOB.public_key)
        )
        assert isinstance(opened, Fragment)
        assert (opened.message_id, opened.index, opened.count) == (ID, index, count)
        assert opened.sender == sender
        joined += opened.data
    assert joined == message


@pytest.mark.parametrize("sender", [None, ALICE.public_key], ids=["anonymous", "reliable"])
@pytest.mark.parametrize("less", [0, 1, 378, 379, 406, 407])
def test_the_end_of_the_longest_messages(sender: bytes | None, less: int) -> None:
    message = bytes(LONGEST_SEALED - less)
    count = fragment_count(len(message), reliable=sender is not None)
    capacity = ANONYMOUS_CAPACITY if sender is None else RELIABLE_CAPACITY
    last = fragment(message, ID, count - 1, sender)
    assert len(last.data) == len(message) - (count - 1) * capacity
    for piece in (last, fragment(message, ID, 0, sender)):
        assert FROM_BOB.open(FROM_ALICE.seal(piece, BOB.public_key)) == piece
    with pytest.raises(ValueError, match="can't be the last"):
        FROM_ALICE.seal(replace(last, data=bytes(len(last.data) + less + 1)), BOB.public_key)
