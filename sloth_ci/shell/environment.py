"""What an action finds in its environment: a short list of the server's own names, and ours."""

from collections.abc import Mapping

from sloth_ci.builds import Build
from sloth_ci.shell.accounts import Account
from sloth_ci.template import check_value, param_environment

#: Tells the processes of one action from all others, wherever they hide.
MARKER = "SLOTH_ACTION"

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_INHERITED = frozenset({"PATH", "HOME", "LANG", "TZ", "USER", "LOGNAME", "SHELL", "TMPDIR"})
#: What is of the server's user, and nothing for another.
_OWN = frozenset({"SHELL", "TMPDIR"})


def inherited_environment(inherit: Mapping[str, str]) -> dict[str, str]:
    """What builds get of the server's own environment; its secrets stay behind."""
    allowed = {
        name: value
        for name, value in inherit.items()
        if name in _INHERITED or name.startswith("LC_")
    }
    return {"PATH": _PATH} | allowed


def account_environment(inherited: Mapping[str, str], account: Account) -> dict[str, str]:
    """What is inherited, as it is for another user."""
    kept = {name: value for name, value in inherited.items() if name not in _OWN}
    return kept | account.environment


def build_environment(build: Build, inherited: Mapping[str, str]) -> dict[str, str]:
    """What all actions of the build find; raises TemplateRefused for a param that can't travel."""
    for name, value in build.params.items():
        check_value(name, value)
    return {
        **inherited,
        **build.env,
        **param_environment(build.params),
        "SLOTH_LISTEN_POINT": build.listen_point,
        "SLOTH_BUILD": str(build.id),
    }
