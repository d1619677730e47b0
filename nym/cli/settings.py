"""`config`: the settings in force, and changing one of them in config.toml."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nym.cli import Options
from nym.cli.control import existing_folder
from nym.cli.output import say
from nym.config import values_of
from nym.config.file import change_setting, load_config, settings_in_file


def config(options: Options) -> int:
    """Show all, or change one."""
    folder = existing_folder(options["--id"])
    if options["set"]:
        change_setting(folder, options["KEY"], options["VALUE"])
        return 0
    settings = list(_settings(folder))
    if options["--json"]:
        say(json.dumps(settings))
        return 0
    for setting in settings:
        say(_line(setting))
    return 0


def _settings(folder: Path) -> Iterator[dict[str, Any]]:
    config, in_file = load_config(folder), settings_in_file(folder)
    for key, value in values_of(config).items():
        # An empty text is as good as none.
        source = "file" if key in in_file and value != "" else "default"
        if key == "client.directory":
            value = config.client.directory_url
        yield {"key": key, "value": value, "source": source}


def _line(setting: dict[str, Any]) -> str:
    pair = f"{setting['key']} = {json.dumps(setting['value'], ensure_ascii=False)}"
    return f"{pair:<58} # {setting['source']}"
