"""`completion` prints scripts with which shells complete commands, options, ids and contacts.

Commands and options are written into the script. Ids and contacts change, so the script looks them
up when Tab is pressed: ids are the names of clients' and nodes' folders, and contacts come from
`contacts list`. These names are other people's data. The scripts read each one as a line, compare
it, and quote it with the shell's own means, but never evaluate or split it, so no name can run a
command.
"""

from nym.cli import Options
from nym.cli.command import Command, Kind, Option
from nym.cli.homes import ALL
from nym.cli.output import say
from nym.cli.usage import COMMANDS

_FOLDERS = [role.folder for role in ALL]
# Shell code that prints the contacts' names. Names may have spaces in them, so it doesn't take the
# first word of each line, but removes the address at its end.
_CONTACTS = "nym-client contacts list 2>/dev/null | sed -E 's/ +[[:alnum:]]{40,}(  plain)?$//'"


def completion(options: Options) -> int:
    """Print the script for one shell."""
    say(next(make for shell, make in _SHELLS.items() if options[shell])().rstrip("\n"))
    return 0


_BASH = """\
_nym_client_ids() (
  shopt -s nullglob dotglob; shopt -u failglob; set +f
  case ${COMP_WORDS[1]} in
    @PROGRAM_COMMANDS@) folders=(@FOLDERS@) ;;
    *) folders=(clients) ;;
  esac
  for folder in "${folders[@]}"; do
    cd -- "${XDG_CONFIG_HOME:-$HOME/.config}/nym/$folder" 2>/dev/null || continue
    set -- */
    [ $# -eq 0 ] || printf '%s\\n' "$@" | sed 's:/$::'
  done
)
_nym_client_contacts() { @CONTACTS@; }
# Offers those lines of its input that begin with the word on the command line, and quotes them in
# the way in which that word was begun.
_nym_client_offer() {
  local quote= typed=$1 name
  case $typed in
    [\\"\\']*) quote=${typed:0:1} typed=${typed:1} ;;
    *) typed=$(sed 's/\\\\\\(.\\)/\\1/g' <<< "$typed") ;;
  esac
  while IFS= read -r name; do
    [[ -n $name && $name == "$typed"* ]] || continue
    case $quote in
      \\') [[ $name == *\\'* ]] && continue ;;
      \\") [[ $name == *[\\"\\\\\\$\\`!]* ]] && continue ;;
      *) printf -v name %q "$name"; name=${name//:/\\\\:}; name=${name//=/\\\\=} ;;
    esac
    COMPREPLY+=("$name")
  done
}
_nym_client() {
  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words
  COMPREPLY=()
  if [ "$current" = = ]; then
    current=
  elif [ "$before" = = ] && [ "$COMP_CWORD" -gt 2 ]; then
    before=${COMP_WORDS[COMP_CWORD-2]}
  fi
  case $before in
@VALUES@  esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    words='@COMMANDS@ --help --version'
  else
    case ${COMP_WORDS[1]} in
@WORDS@    esac
  fi
  mapfile -t COMPREPLY < <(compgen -W "${words-}" -- "$current")
  case ${COMP_WORDS[1]} in
    @CONTACT_COMMANDS@) _nym_client_offer "$current" < <(_nym_client_contacts) ;;
  esac
}
complete -o default -F _nym_client nym-client
"""


def _bash() -> str:
    offer = '_nym_client_offer "$current" < <(_nym_client_{}); return ;;\n'
    values = {
        "client": offer.format("ids"),
        "contact": offer.format("contacts"),
        "folder": (
            'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$current"); return ;;\n'
        ),
    }
    return _filled(
        _BASH,
        CONTACTS=_CONTACTS,
        VALUES="".join(
            f"    {'|'.join(names)}) {values[kind]}"
            for kind, names in _options_by_kind().items()
            if kind in values
        ),
        COMMANDS=" ".join(COMMANDS),
        WORDS="".join(
            f"      {name}) words='{' '.join(_words(c))}' ;;\n" for name, c in COMMANDS.items()
        ),
        CONTACT_COMMANDS="|".join(_contact_commands()),
        PROGRAM_COMMANDS="|".join(_program_commands()),
        FOLDERS=" ".join(_FOLDERS),
    )


_ZSH = """\
#compdef nym-client
_nym_client_ids() {
  local -a names
  local folder
  for folder in "$@"; do
    names+=("${XDG_CONFIG_HOME:-$HOME/.config}"/nym/$folder/*(ND-/:t))
  done
  compadd -a names
}
_nym_client_contacts() {
  local -a names
  names=("${(@f)$(@CONTACTS@)}")
  compadd -- "${(@)names:#}"
}
_nym_client() {
  local -a commands
  commands=(
@COMMANDS@  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
@CASES@  esac
}
if [ "$funcstack[1]" = _nym-client ]; then _nym_client "$@"; else compdef _nym_client nym-client; fi
"""
_ZSH_ACTIONS = {
    "client": "_nym_client_ids clients",
    "program": f"_nym_client_ids {' '.join(_FOLDERS)}",
    "contact": "_nym_client_contacts",
    "file": "_files",
    "folder": "_files -/",
}


def _zsh() -> str:
    return _filled(
        _ZSH,
        CONTACTS=_CONTACTS,
        COMMANDS="".join(
            f"    '{name}:{_zsh_quoted(c.summary)}'\n" for name, c in COMMANDS.items()
        ),
        CASES="".join(
            f"    {name})\n      _arguments {' '.join(_zsh_arguments(command))} ;;\n"
            for name, command in COMMANDS.items()
        ),
    )


def _zsh_arguments(command: Command) -> list[str]:
    arguments = []
    for option in command.options:
        value = f":value:{_ZSH_ACTIONS.get(option.kind, '')}" if option.value else ""
        arguments.append(f"'{option.name}[{_zsh_quoted(option.what)}]{value}'")
    if command.words:
        arguments.append(f"'1:word:({' '.join(command.words)})'")
    for place, argument in enumerate(command.arguments, 1 + bool(command.words)):
        action = _ZSH_ACTIONS.get(argument.kind, "")
        arguments.append(f"'{place}:{argument.name.lower()}:{action}'")
    return arguments


_FISH = """\
function __nym_client_ids
  set -q XDG_CONFIG_HOME; or set -l XDG_CONFIG_HOME ~/.config
  set -l folders $XDG_CONFIG_HOME/nym/$argv/*/
  string replace -r '^.*/([^/]+)/$' '$1' -- $folders
end
function __nym_client_contacts
  @CONTACTS@
end
complete -c nym-client -f
@COMPLETE@"""


def _fish() -> str:
    complete = "complete -c nym-client"
    values = {
        "client": " -x -a '(__nym_client_ids clients)'",
        "program": f" -x -a '(__nym_client_ids {' '.join(_FOLDERS)})'",
        "contact": " -x -a '(__nym_client_contacts)'",
    }
    lines = []
    for name, command in COMMANDS.items():
        summary = _fish_quoted(command.summary)
        lines.append(f"{complete} -n __fish_use_subcommand -a {name} -d '{summary}'")
        this = f"{complete} -n '__fish_seen_subcommand_from {name}'"
        for option in command.options:
            flag = option.name.removeprefix("--")
            value = values.get(option.kind, " -r") if option.value else ""
            lines.append(f"{this} -l {flag}{value} -d '{_fish_quoted(option.what)}'")
        if command.words:
            lines.append(f"{this} -a '{' '.join(command.words)}'")
    for name in _contact_commands():
        this = f"{complete} -n '__fish_seen_subcommand_from {name}'"
        lines.append(f"{this} -F -a '(__nym_client_contacts)'")
    return _filled(_FISH, CONTACTS=_CONTACTS, COMPLETE="".join(f"{line}\n" for line in lines))


def _words(command: Command) -> list[str]:
    return [*command.words, *(option.name for option in command.options)]


def _options_by_kind() -> dict[Kind, list[str]]:
    """The names of all commands' options, by what their values are."""
    kinds: dict[Kind, list[str]] = {}
    options: list[Option] = [option for c in COMMANDS.values() for option in c.options]
    for option in options:
        if option.name not in (names := kinds.setdefault(option.kind, [])):
            names.append(option.name)
    return kinds


def _contact_commands() -> list[str]:
    """The names of the commands that take a contact as an argument."""
    return [
        command.name
        for command in COMMANDS.values()
        if any(argument.kind == "contact" for argument in command.arguments)
    ]


def _program_commands() -> list[str]:
    """The names of the commands whose --id may be that of a node."""
    return [
        command.name
        for command in COMMANDS.values()
        if any(option.kind == "program" for option in command.options)
    ]


def _filled(script: str, **parts: str) -> str:
    """`script` with its @NAMES@ replaced. For str.format, every brace would have to be doubled."""
    for name, part in parts.items():
        script = script.replace(f"@{name}@", part)
    return script


def _zsh_quoted(text: str) -> str:
    """`text` for a place between single quotes, where brackets and colons also have a meaning."""
    for character in "[]:":
        text = text.replace(character, f"\\{character}")
    return text.replace("'", "'\\''")


def _fish_quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")


_SHELLS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
