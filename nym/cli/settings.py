"""`config`: the settings in force, and changing one of them in config.toml."""

import json
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
    in_force, in_file = values_of(load_config(folder)), settings_in_file(folder)
    settings = [
        {"key": key, "value": value, "source": "file" if key in in_file else "default"}
        for key, value in in_force.items()
    ]
    if options["--json"]:
        say(json.dumps(settings))
        return 0
    for setting in settings:
        say(_line(setting))
    return 0


def _line(setting: dict[str, Any]) -> str:
    pair = f"{setting['key']} = {json.dumps(setting['value'], ensure_ascii=False)}"
    return f"{pair:<58} # {setting['source']}"
