"""Releases: scripts/verify accepts what a maintainer has signed, and nothing else.

The signatures are real ones, with keys that are made for one test.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import PATIENCE

ROOT = Path(__file__).parent.parent
FILES = {
    "nym-client": b"\x7fELF",
    "nym_client-1.0.0.whl": b"PK",
    "nym-client_1.0.0.deb": b"!<arch>",
}


def ended(*command: str, **environment: str) -> tuple[int, str]:
    ran = subprocess.run(
        command,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return ran.returncode, ran.stdout


class Release:
    """A folder with files, their sums, and the keys of two people, of whom one is a maintainer."""

    def __init__(self, folder: Path) -> None:
        self.files = folder / "dist"
        self.files.mkdir()
        self.signers = folder / "allowed_signers"
        self.keys = {name: folder / name for name in ("maintainer", "stranger")}
        for key in self.keys.values():
            made = ended("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
            assert made == (0, "")
        public = self.keys["maintainer"].with_suffix(".pub").read_text()
        self.signers.write_text(f'# Keys\nmaintainer@example namespaces="nym-client,git" {public}')
        sums = ""
        for name, content in sorted(FILES.items()):
            (self.files / name).write_bytes(content)
            sums += f"{hashlib.sha256(content).hexdigest()}  {name}\n"
        (self.files / "SHA256SUMS").write_text(sums)

    def sign(self, who: str = "maintainer", purpose: str = "nym-client") -> None:
        sums = self.files / "SHA256SUMS"
        sums.with_suffix(".sig").unlink(missing_ok=True)
        code, said = ended(
            "ssh-keygen", "-Y", "sign", "-n", purpose, "-f", str(self.keys[who]), str(sums)
        )
        assert code == 0, said

    def verify(self, name: str = "") -> tuple[int, str]:
        """Verify the folder, or this file in it; give the exit code and the only line."""
        script = str(ROOT / "scripts/verify")
        code, said = ended(script, str(self.files / name), ALLOWED_SIGNERS=str(self.signers))
        assert len(said.splitlines()) == 1
        return code, said.removeprefix("verify: ").strip()


@pytest.fixture
def release(tmp_path: Path) -> Release:
    release = Release(tmp_path)
    release.sign()
    return release


def test_what_a_maintainer_has_signed_is_accepted(release: Release) -> None:
    assert release.verify() == (0, f"{release.files} is as maintainer@example has signed it")


def test_one_file_can_be_verified_without_the_others(release: Release) -> None:
    for name in FILES.keys() - {"nym-client"}:
        (release.files / name).unlink()
    assert release.verify("nym-client") == (0, "nym-client is as maintainer@example has signed it")
    (release.files / "nym-client").write_bytes(b"another")
    assert release.verify("nym-client") == (1, "nym-client is not the file that was signed")
    (release.files / "nym").write_bytes(FILES["nym-client"])
    assert release.verify("nym") == (1, "the release doesn't contain nym")


def change_file(release: Release) -> None:
    (release.files / "nym-client").write_bytes(b"another")


def remove_files(release: Release) -> None:
    (release.files / "nym-client").unlink()
    (release.files / "nym-client_1.0.0.deb").unlink()


def add_files(release: Release) -> None:
    (release.files / "more").mkdir()
    (release.files / "more/nym-client").write_bytes(FILES["nym-client"])
    (release.files / "nym-client\x1b[2K").write_text("another")


def change_sums(release: Release) -> None:
    """Write down the sums of other files, without the key to sign them."""
    change_file(release)
    sums = release.files / "SHA256SUMS"
    signed = hashlib.sha256(FILES["nym-client"]).hexdigest()
    sums.write_text(sums.read_text().replace(signed, hashlib.sha256(b"another").hexdigest()))


def remove_signature(release: Release) -> None:
    (release.files / "SHA256SUMS.sig").unlink()


def sign_as_stranger(release: Release) -> None:
    release.sign("stranger")


def sign_something_else(release: Release) -> None:
    """Use a signature that the maintainer has made for another purpose."""
    release.sign(purpose="git")


def damage_signature(release: Release) -> None:
    (release.files / "SHA256SUMS.sig").write_text("no signature")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (change_file, "nym-client is not the file that was signed"),
        (remove_files, "the release also contains nym-client, nym-client_1.0.0.deb"),
        (add_files, "the release doesn't contain more/nym-client, nym-client^[[2K"),
        (change_sums, "SHA256SUMS is not what maintainer@example has signed, or"),
        (remove_signature, "SHA256SUMS.sig is missing, so nothing shows who made this"),
        (sign_as_stranger, "SHA256SUMS.sig was not made with a key in "),
        (sign_something_else, "SHA256SUMS is not what maintainer@example has signed, or"),
        (damage_signature, "SHA256SUMS.sig was not made with a key in "),
    ],
)
def test_anything_else_is_refused(
    release: Release, change: Callable[[Release], None], sentence: str
) -> None:
    change(release)
    code, said = release.verify()
    assert (code, said[: len(sentence)]) == (1, sentence)


def test_without_keys_it_says_that_it_can_verify_nothing(release: Release) -> None:
    release.signers.write_text("# There is none yet.\n")
    code, said = release.verify()
    assert code == 3
    assert said.startswith(f"there is no key in {release.signers}, so no signature can be verified")


def test_wrong_arguments_are_named(release: Release) -> None:
    assert release.verify("nobody") == (2, f"{release.files / 'nobody'} isn't there")


def test_the_projects_own_list_of_keys_is_understood(release: Release) -> None:
    """A key that stands in it as its comment says is accepted."""
    text = (ROOT / "docs/allowed_signers").read_text()
    (example,) = [line for line in text.splitlines() if "namespaces=" in line and line[0] == "#"]
    kind, key, *_ = release.keys["maintainer"].with_suffix(".pub").read_text().split()
    line = example.lstrip("# ").replace("ADDRESS", "me@example").replace("KEY", key)
    release.signers.write_text(f"{text}{line}\n")
    assert kind in line
    assert release.verify() == (0, f"{release.files} is as me@example has signed it")


def git(folder: Path, *arguments: str) -> None:
    own = ("-c", "user.name=Maintainer", "-c", "user.email=maintainer@example")
    code, said = ended("git", "-C", str(folder), *own, *arguments)
    assert code == 0, said


@pytest.fixture
def project(release: Release, tmp_path: Path) -> Path:
    """A small project that can be released; in the place of a build, its .ci/run copies files."""
    folder = tmp_path / "project"
    for name in ("scripts/release", "scripts/verify", "nym/__init__.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / "docs").mkdir()
    shutil.copy(release.signers, folder / "docs/allowed_signers")
    (folder / "CHANGELOG.md").write_text("# Changes\n\n## 1.0.0, 2026-01-31\n")
    (folder / "nym/__init__.py").write_text('__version__ = "1.0.0"\n')
    (folder / ".gitignore").write_text("dist\n")
    (folder / ".ci").mkdir()
    build = folder / ".ci/run"
    build.write_text(f"#!/bin/sh\nmkdir dist && cp {release.files}/* dist && rm dist/*.sig\n")
    build.chmod(0o755)
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "1.0.0")
    git(folder, "tag", "v1.0.0")
    return folder


def test_a_release_is_built_and_signed(release: Release, project: Path) -> None:
    code, said = ended(str(project / "scripts/release"), str(release.keys["maintainer"]))
    assert (code, said.splitlines()[-1]) == (
        0,
        f"verify: {project / 'dist'} is as maintainer@example has signed it",
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("touch new", "there are changes that no commit has"),
        ("git tag -d v1.0.0", "this commit has no tag v1.0.0"),
        ("sed -i s/1.0.0/1.0.1/ nym/__init__.py", "CHANGELOG.md has no section for 1.0.1"),
        ("sed -i s/2026-.*/unreleased/ CHANGELOG.md", "CHANGELOG.md has no section for 1.0.0"),
        ("mkdir changes; touch changes/one.added.md", "changes that CHANGELOG.md doesn't have"),
        ("echo > docs/allowed_signers", "docs/allowed_signers doesn't have this key"),
    ],
)
def test_nothing_is_built_before_all_is_ready(
    release: Release, project: Path, change: str, sentence: str
) -> None:
    assert ended("sh", "-c", f"cd {project}; {change}")[0] == 0
    if change != "touch new":
        git(project, "add", ".")
        git(project, "commit", "--quiet", "--allow-empty", "--message", "a change")
        if "git tag" not in change:
            git(project, "tag", "--force", "v1.0.0")
    code, said = ended(str(project / "scripts/release"), str(release.keys["maintainer"]))
    assert (code, said.startswith(f"release: {sentence}")) == (1, True), said
    assert not (project / "dist").exists()
