"""What the help says of options that several commands share."""

GLOBALS = {
    "config": "the server's config (default: server.yml, then sloth.yml, in this folder)",
    "url": "the server's address, instead of the one in the config",
    "json": "print JSON",
    "version": "print the version and exit",
}
APP = "the app's listen point"
BUILD = "the build's number"
PARAMS = "values for the actions' placeholders, as name=value"
SINCE = "from then on: a time, or how long ago, such as 90s, 15m, 12h or 7d"
UNTIL = "until then, in the same way"
#: How the values of options are named in the help.
SHOWN = {
    "listen_point": "LISTEN_POINT",
    "listen_points": "LISTEN_POINT",
    "build": "BUILD",
    "builds": "BUILD",
    "delivery": "DELIVERY",
    "params": "NAME=VALUE",
    "from_page": "N",
    "to_page": "N",
    "per_page": "N",
    "tail": "N",
    "level": "LEVEL",
    "status": "STATUS",
    "branch": "BRANCH",
    "tag": "TAG",
    "commit": "COMMIT",
    "since": "WHEN",
    "until": "WHEN",
    "search": "TEXT",
    "stream": "STREAM",
    "reason": "TEXT",
    "kind": "KIND",
    "format": "FORMAT",
    "output": "FILE",
    "queue_age": "SECONDS",
    "interval": "SECONDS",
    "provider": "PROVIDER",
    "secret": "SECRET",
    "repo": "OWNER/REPO",
    "message": "TEXT",
    "shell": "SHELL",
}
PAGES = {
    "listen_point": APP,
    "from_page": "first page (default: 1, the newest)",
    "to_page": "last page (default: the first one)",
    "per_page": "entries on a page (default: 10)",
    "level": "least level, by number or name",
    "verbose": "show more columns",
}
#: The words that may stand behind an option, or for an argument, by its name in the help.
WORDS = {
    "STATUS": (
        *("queued", "running", "complete", "partial", "failed", "timed_out", "cancelled"),
        "interrupted",
    ),
    "LEVEL": ("debug", "info", "warning", "error", "critical"),
    "STREAM": ("stdout", "stderr"),
    "KIND": ("builds", "history", "stats"),
    "FORMAT": ("json", "ndjson", "csv"),
    "SHELL": ("bash", "zsh", "fish"),
}
