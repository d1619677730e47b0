"""scripts/api: the pages about what other programs can import."""

import subprocess
from importlib import import_module
from inspect import isroutine
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "scripts/api"


def test_each_module_has_a_page_and_each_public_function_a_docstring(tmp_path: Path) -> None:
    subprocess.run([SCRIPT, tmp_path], check=True)
    pages = [path.relative_to(tmp_path).with_suffix("") for path in tmp_path.rglob("*.html")]
    modules = {".".join(page.parts) for page in pages} - {"index"}
    assert {"nym.sphinx", "nym.wire.directory", "nym.localnet.network"} <= modules
    assert "Sphinx packets of Nym 0.4" in (tmp_path / "nym/sphinx.html").read_text()
    # ruff looks at docstrings, but not at those of the extensions, whose functions are here, too.
    undocumented = [
        f"{module}.{name}"
        for module in modules
        for name, value in vars(import_module(module)).items()
        if isroutine(value) and not name.startswith("_") and not value.__doc__
    ]
    assert undocumented == []
