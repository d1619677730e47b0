"""`completion`: scripts by which shells complete commands, options, ids and contacts."""

from nym.cli import Options
from nym.cli.command import Command
from nym.cli.output import say
from nym.cli.usage import COMMANDS

# Ids are folders, contacts what the program lists: both are asked for when Tab is pressed.
_IDS = 'ls "${XDG_CONFIG_HOME:-$HOME/.config}/nym/clients" 2>/dev/null'
_CONTACTS = "nym-client contacts list 2>/dev/null | cut -d' ' -f1"


def completion(options: Options) -> int:
    """Print the script for one shell."""
    say(next(make for shell, make in _SHELLS.items() if options[shell])().rstrip("\n"))
    return 0


def _bash() -> str:
    cases = "".join(
        f"    {name}) words='{' '.join(_words(c))}' ;;\n" for name, c in COMMANDS.items()
    )
    return f"""\
_nym_client() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} words
  case $before in
    --id) words=$({_IDS}) ;;
    --folder) COMPREPLY=($(compgen -d -- "$current")); return ;;
  esac
  [ -n "${{words-}}" ] || case ${{COMP_WORDS[1]}} in
{cases}    *) words='{" ".join(COMMANDS)} --help --version' ;;
  esac
  [ "${{COMP_WORDS[1]}}" != send ] || [ "$before" = --id ] || words="$words $({_CONTACTS})"
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _nym_client nym-client
"""


def _zsh() -> str:
    commands = "\n".join(f"    '{name}:{_zsh_quoted(c.summary)}'" for name, c in COMMANDS.items())
    cases = "".join(
        f"    {name})\n      _arguments {' '.join(_zsh_arguments(name, command))} ;;\n"
        for name, command in COMMANDS.items()
    )
    return f"""\
#compdef nym-client
_nym_client_ids() {{ compadd -- ${{(f)"$({_IDS})"}} }}
_nym_client_contacts() {{ compadd -- ${{(f)"$({_CONTACTS})"}} }}
_nym_client() {{
  local -a commands
  commands=(
{commands}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
{cases}  esac
}}
if [ "$funcstack[1]" = _nym-client ]; then _nym_client "$@"; else compdef _nym_client nym-client; fi
"""


def _zsh_arguments(name: str, command: Command) -> list[str]:
    actions = {"client": "_nym_client_ids", "folder": "_files -/"}
    arguments = []
    for option in command.options:
        value = f":value:{actions.get(option.kind, '')}" if option.value else ""
        arguments.append(f"'{option.name}[{_zsh_quoted(option.what)}]{value}'")
    if command.words:
        arguments.append(f"'1:word:({' '.join(command.words)})'")
    if name == "send":
        arguments += ["'1:to:_nym_client_contacts'", "'2:file:_files'"]
    return arguments


def _fish() -> str:
    complete = "complete -c nym-client"
    lines = [
        "function __nym_client_ids",
        "  set -q XDG_CONFIG_HOME; or set -l XDG_CONFIG_HOME ~/.config",
        "  command ls $XDG_CONFIG_HOME/nym/clients 2>/dev/null",
        "end",
        f"{complete} -f",
    ]
    for name, command in COMMANDS.items():
        summary = _fish_quoted(command.summary)
        lines.append(f"{complete} -n __fish_use_subcommand -a {name} -d '{summary}'")
        this = f"{complete} -n '__fish_seen_subcommand_from {name}'"
        for option in command.options:
            flag = option.name.removeprefix("--")
            value = " -x -a '(__nym_client_ids)'" if flag == "id" else " -r" * bool(option.value)
            lines.append(f"{this} -l {flag}{value} -d '{_fish_quoted(option.what)}'")
        if command.words:
            lines.append(f"{this} -a '{' '.join(command.words)}'")
    lines.append(f'{complete} -n "__fish_seen_subcommand_from send" -F -a "({_CONTACTS})"')
    return "\n".join(lines) + "\n"


def _words(command: Command) -> list[str]:
    return [*command.words, *(option.name for option in command.options)]


def _zsh_quoted(text: str) -> str:
    """For single quotes, where brackets and colons have a meaning, too."""
    for character in "[]:":
        text = text.replace(character, f"\\{character}")
    return text.replace("'", "'\\''")


def _fish_quoted(text: str) -> str:
    return text.replace("'", "\\'")


_SHELLS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
