"""SIGHUP, `systemctl reload`: reads the settings of a running program again."""

import logging
from collections.abc import Callable
from typing import Generic

from nym.cli.notify import reloading
from nym.config.setting import Settings, reloadable_of, values_of, with_values
from nym.errors import NymError

log = logging.getLogger(__name__)


class Reloader(Generic[Settings]):
    """Applies those changes that need no restart, and says in the log what has changed.

    `read` gives the settings as they are wanted now, with the options that the program was started
    with. `apply` gets the settings to use, and raises a NymError if it can't use them.
    """

    def __init__(
        self,
        config: Settings,
        read: Callable[[], Settings],
        apply: Callable[[Settings], None],
    ) -> None:
        self._config = config
        self._read = read
        self._apply = apply

    def reload(self) -> None:
        """Reload, and tell the service manager. A file with a mistake in it changes nothing."""
        reloading(self._reload)

    def _reload(self) -> None:
        try:
            self._change_to(self._read())
        except NymError as error:
            log.error("the settings stay as they were: %s", error)  # noqa: TRY400

    def _change_to(self, wanted: Settings) -> None:
        before, asked = values_of(self._config), values_of(wanted)
        changed = {key for key, value in asked.items() if value != before[key]}
        can_change = reloadable_of(type(wanted))
        # Changes that need a restart aren't taken over, so the next reload reports them again.
        config = with_values(self._config, {key: asked[key] for key in changed & can_change})
        self._apply(config)
        self._config = config
        for key in sorted(changed & can_change):
            log.info("%s is %s now", key, asked[key])
        for key in sorted(changed - can_change):
            log.warning("%s has changed; it takes effect after a restart", key)
        if not changed:
            log.info("no setting has changed")
