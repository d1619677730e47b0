"""URLs of PostgreSQL databases, and the lines of files that have passwords for them."""

import pytest

from nym.wire.postgresql import DatabaseUrl, parse_database_url

HERE = "postgresql://nym@localhost/inboxes"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HERE, ("nym", "localhost", 5432, "inboxes", "disable", "", "")),
        (
            "postgres://a%40b@db.example:6543/in%2Fboxes",
            ("a@b", "db.example", 6543, "in/boxes", "verify-full", "", ""),
        ),
        (
            "postgresql://nym@[2001:db8::7]/inboxes?sslmode=require",
            ("nym", "2001:db8::7", 5432, "inboxes", "require", "", ""),
        ),
        (
            "postgresql://nym@%2Frun%2FPostgres/inboxes",
            ("nym", "/run/Postgres", 5432, "inboxes", "disable", "", ""),
        ),
        (
            "postgresql://nym@/inboxes?host=/run/postgresql&passfile=/etc/nym/pass",
            ("nym", "/run/postgresql", 5432, "inboxes", "disable", "", "/etc/nym/pass"),
        ),
        (
            "postgresql://nym@127.0.0.1/inboxes?sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem",
            ("nym", "127.0.0.1", 5432, "inboxes", "verify-full", "/etc/ca.pem", ""),
        ),
    ],
)
def test_a_url_names_a_database(text: str, expected: tuple[object, ...]) -> None:
    assert parse_database_url(text) == DatabaseUrl(*expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("mysql://nym@localhost/inboxes", "begins with postgresql://"),
        ("postgresql://nym:secret@localhost/inboxes", "a password doesn't belong in the URL"),
        ("postgresql://nym:@localhost/inboxes", "a password doesn't belong in the URL"),
        ("postgresql://localhost/inboxes", "names a user, a host and a database"),
        ("postgresql://nym@/inboxes", "names a user, a host and a database"),
        ("postgresql://nym@localhost", "names a user, a host and a database"),
        ("postgresql://nym@localhost/", "names a user, a host and a database"),
        (HERE + "#part", "names a user, a host and a database"),
        (HERE + "?sslmode=prefer", "sslmode is one of disable, require, verify-full"),
        (HERE + "?password=secret", "can have the parameters host, sslmode"),
        (HERE + "?sslmode", "bad query field"),
        ("postgresql://nym@localhost:65536/inboxes", "Port out of range"),
        ("postgresql://nym@%2Frun/inboxes?sslmode=require", "a UNIX socket has no TLS"),
        ("postgresql://nym@local host/inboxes", "no white space"),
        ("postgresql://nym@localhost/in\nboxes", "no white space"),
    ],
)
def test_any_other_url_is_refused_and_no_password_shown(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        parse_database_url(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "password"),
    [
        (["localhost:5432:inboxes:nym:secret"], "secret"),
        (["*:*:*:*:secret"], "secret"),
        (["localhost:5432:inboxes:nym:a:b"], "a:b"),
        ([r"localhost:5432:inboxes:nym:a\:b\\c"], r"a:b\c"),
        (["localhost:5432:inboxes:nym:first\n", "*:*:*:*:second\n"], "first"),
        (["# *:*:*:*:comment", "", "*:*:*:*:secret\r\n"], "secret"),
        (["localhost:5433:inboxes:nym:secret"], None),
        (["localhost:5432:other:nym:secret", "localhost:5432:inboxes:other:secret"], None),
        (["nonsense"], None),
        ([], None),
    ],
)
def test_a_password_is_that_of_the_first_line_that_fits(
    lines: list[str], password: str | None
) -> None:
    assert parse_database_url(HERE).password_in(lines) == password


def test_names_with_colons_are_escaped_in_password_files() -> None:
    url = parse_database_url("postgresql://a%3Ab@[::1]/inboxes")
    assert url.password_in([r"\:\:1:5432:inboxes:a\:b:secret"]) == "secret"


def test_a_folder_holds_the_socket() -> None:
    assert parse_database_url(HERE).socket is None
    url = parse_database_url("postgresql://nym@%2Frun%2Fpostgresql%2F:6543/inboxes")
    assert url.socket == "/run/postgresql/.s.PGSQL.6543"
    assert str(url) == "the database inboxes at /run/postgresql, port 6543"
