"""`config` shows the settings of a client or a node, and changes single ones in config.toml.

It reads and writes the file, not the running program, so it shows settings without the options with
which that may have been started.
"""

import json
from collections.abc import Iterator
from typing import Any

from nym.cli import Options
from nym.cli.homes import ALL, Home, existing
from nym.cli.output import say
from nym.config import DEFAULT_DIRECTORY
from nym.config.file import change_setting, load_settings, remove_setting, settings_in_file
from nym.config.setting import Value, values_of
from nym.config.text import setting_named
from nym.wire.text import without_credentials


def config(options: Options) -> int:
    """Show all settings, print one, or change or remove one."""
    place = existing(options["--id"], ALL)
    folder, kind = place.folder, place.role.settings()
    if options["set"]:
        change_setting(folder, options["KEY"], options["VALUE"], kind)
        return 0
    if options["unset"]:
        remove_setting(folder, options["KEY"], kind)
        return 0
    if options["get"]:
        key = setting_named(options["KEY"], kind).key
        say(next(_bare(one["value"]) for one in _settings(place) if one["key"] == key))
        return 0
    settings = [{**one, "value": _shown(one["value"])} for one in _settings(place)]
    if options["--json"]:
        say(json.dumps(settings))
        return 0
    for setting in settings:
        say(_line(setting))
    return 0


def _settings(place: Home) -> Iterator[dict[str, Any]]:
    """Each setting as an object: key, value, source (`file` or `default`)."""
    kind = place.role.settings()
    config, in_file = load_settings(place.folder, kind), settings_in_file(place.folder, kind)
    for key, value in values_of(config).items():
        # An empty text in the file means the same as no setting.
        source = "file" if key in in_file and value != "" else "default"
        # Without a directory, the client uses one on this machine, so that URL is shown.
        if key == "client.directory" and not value:
            value = DEFAULT_DIRECTORY
        yield {"key": key, "value": value, "source": source}


def _shown(value: Value) -> Value:
    """A value for a list that people may show to others: URLs without user names and passwords."""
    return without_credentials(value) if isinstance(value, str) else value


def _bare(value: Value) -> str:
    """A value as `config set` takes it: without quotes around texts, so scripts can use it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _line(setting: dict[str, Any]) -> str:
    pair = f"{setting['key']} = {json.dumps(setting['value'], ensure_ascii=False)}"
    return f"{pair:<58} # {setting['source']}"
