"""`config` shows a client's settings, and changes single ones in config.toml.

It reads and writes the file, not the running client, so it shows settings without the options with
which a client may have been started.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nym.cli import Options
from nym.cli.control import existing_folder
from nym.cli.output import say
from nym.config import Value, values_of
from nym.config.file import change_setting, load_config, remove_setting, settings_in_file
from nym.config.text import setting_named


def config(options: Options) -> int:
    """Show all settings, print one, or change or remove one."""
    folder = existing_folder(options["--id"])
    if options["set"]:
        change_setting(folder, options["KEY"], options["VALUE"])
        return 0
    if options["unset"]:
        remove_setting(folder, options["KEY"])
        return 0
    if options["get"]:
        key = setting_named(options["KEY"]).key
        say(next(_bare(one["value"]) for one in _settings(folder) if one["key"] == key))
        return 0
    settings = list(_settings(folder))
    if options["--json"]:
        say(json.dumps(settings))
        return 0
    for setting in settings:
        say(_line(setting))
    return 0


def _settings(folder: Path) -> Iterator[dict[str, Any]]:
    """Each setting as an object: key, value, source (`file` or `default`)."""
    config, in_file = load_config(folder), settings_in_file(folder)
    for key, value in values_of(config).items():
        # An empty text in the file means the same as no setting.
        source = "file" if key in in_file and value != "" else "default"
        # Without a directory, the client uses one on this machine, so that URL is shown.
        if key == "client.directory":
            value = config.client.directory_url
        yield {"key": key, "value": value, "source": source}


def _bare(value: Value) -> str:
    """A value as `config set` takes it: without quotes around texts, so scripts can use it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _line(setting: dict[str, Any]) -> str:
    pair = f"{setting['key']} = {json.dumps(setting['value'], ensure_ascii=False)}"
    return f"{pair:<58} # {setting['source']}"
