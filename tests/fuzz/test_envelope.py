"""Sealed plaintexts that no honest client makes: each is unreadable, or content in its only form.

Valid plaintexts are mutated and sealed with libsodium. What the client reads from one of them must
encode to the same plaintext again.
"""

import random
from hashlib import blake2b

import pysodium
import pytest

from nym import sphinx
from nym.envelope import (
    Acknowledgement,
    Content,
    Cover,
    Envelopes,
    ProviderNote,
    Reply,
    Run,
    Unreadable,
    fragment,
)
from nym.identity import generate_identity

INPUTS = 10_000
PLAINTEXT = 927
L = 2**252 + 27742317777372353535851937790883648493
# A clamped scalar that is minus one modulo l, the order of the group. X25519 ignores signs, so a
# product with it is the point itself.
CLAMPED_ONE = (8 * (L - pow(8, -1, L))).to_bytes(32, "little")
ALICE, BOB = generate_identity(), generate_identity()
ALICE_AGAIN = ALICE.public_key[:-1] + bytes([ALICE.public_key[-1] ^ 0x80])
FROM_ALICE, FROM_BOB = Envelopes(ALICE), Envelopes(BOB)
# Bob's address as a reply address: what is for it is authenticated with this secret, too.
SECRET = bytes(range(16))
TO_REPLY_ADDRESS = Envelopes(BOB, SECRET)
AUTHENTICATED, REPLIES = range(3, 10), range(6, 10)  # kinds of content
MESSAGE = bytes(range(1, 256)) * 10
CONTENTS: list[Content] = [
    Cover(bytes(range(16))),
    *(
        fragment(message, bytes(16), index, sender)
        for message, indices in ((b"", [0]), (b"hello", [0]), (MESSAGE, [0, 1, 2]))
        for index in indices
        for sender in (None, ALICE.public_key)
    ),
    *(
        fragment(message, bytes(16), index, ALICE.public_key, Reply(is_acknowledged, is_answerable))
        for message, index in ((b"hello", 0), (MESSAGE, 0), (MESSAGE, 2))
        for is_acknowledged in (False, True)
        for is_answerable in (False, True)
    ),
    ProviderNote(bytes(32), 1, ALICE.public_key),
    Acknowledgement((Run(bytes(16), 0, 0),), ALICE.public_key),
    Acknowledgement(tuple(Run(bytes([i]) * 16, i, 9 * i) for i in range(43)), ALICE.public_key),
]


def seal(plaintext: bytes) -> bytes:
    sealed: bytes = pysodium.crypto_box_seal(plaintext, BOB.public_key)
    return sealed


def unseal(envelope: bytes) -> bytes:
    """The plaintext of an envelope for Bob.

    libsodium clamps a private key, which would change Bob's. So it gets the product, computed
    before, as the public key, and CLAMPED_ONE as the private key.
    """
    product = sphinx.multiply(BOB.private_key, envelope[:32])
    nonce = blake2b(envelope[:32] + BOB.public_key, digest_size=24).digest()
    opened: bytes = pysodium.crypto_box_open(envelope[32:], nonce, product, CLAMPED_ONE)
    return opened


def mutated(plaintext: bytes, chance: random.Random) -> bytes:
    """The plaintext with up to three bytes changed, mostly in the fields or at the very end."""
    changed = bytearray(plaintext)
    for _ in range(chance.randrange(4)):
        at = chance.choice([chance.randrange(80), chance.randrange(PLAINTEXT), PLAINTEXT - 1])
        changed[at] = chance.choice([*range(10), 43, 255, chance.randrange(256)])
    return bytes(changed)


def pair_key(secret: bytes) -> bytes:
    product = sphinx.multiply(ALICE.private_key, BOB.public_key)
    return blake2b(product + secret, digest_size=32, person=b"nym-envelope-key").digest()


def authenticated(plaintext: bytes, secret: bytes) -> bytes:
    text = plaintext[:2] + plaintext[18:]
    key = pair_key(secret if plaintext[1] in REPLIES else b"")
    made = blake2b(
        BOB.public_key + text, digest_size=16, key=key, person=b"nym-envelope-mac"
    ).digest()
    return plaintext[:2] + made + plaintext[18:]


@pytest.mark.parametrize("by_alice", [False, True], ids=["by anybody", "by a peer"])
@pytest.mark.parametrize(
    ("recipient", "secret"),
    [(FROM_BOB, b""), (TO_REPLY_ADDRESS, SECRET)],
    ids=["main address", "reply address"],
)
def test_what_opens_has_one_form(recipient: Envelopes, secret: bytes, by_alice: bool) -> None:
    chance = random.Random(by_alice)
    plaintexts = [unseal(FROM_ALICE.seal(c, BOB.public_key, secret)) for c in CONTENTS]
    read = 0
    for _ in range(INPUTS):
        plaintext = mutated(chance.choice(plaintexts), chance)
        if by_alice and plaintext[1] in AUTHENTICATED:
            plaintext = authenticated(plaintext, secret)
        opened = recipient.open(seal(plaintext))
        assert opened is not None
        # Alice's address with its top bit set is the same point, so it has the same pair key. Any
        # other sender in place of her must not be accepted.
        if getattr(opened, "sender", None) == ALICE_AGAIN:
            continue
        if not isinstance(opened, Unreadable):
            read += 1
            assert unseal(FROM_ALICE.seal(opened, BOB.public_key, secret)) == plaintext
    assert INPUTS // 10 < read < INPUTS * 3 // 4


def test_noise_is_unreadable() -> None:
    chance = random.Random(1)
    for _ in range(INPUTS):
        plaintext = chance.choice([b"", b"\1", *(bytes([1, kind]) for kind in range(2, 10))])
        plaintext += chance.randbytes(PLAINTEXT - len(plaintext))
        assert isinstance(FROM_BOB.open(seal(plaintext)), Unreadable)
