"""What the help says of options that several commands share."""

GLOBALS = {
    "config": "the server's config (default: server.yml, then sloth.yml, in this folder)",
    "url": "the server's address, instead of the one in the config",
    "json": "print JSON",
    "version": "print the version and exit",
}
APP = "the app's listen point"
PAGES = {
    "listen_point": APP,
    "from_page": "first page (default: 1, the newest records)",
    "to_page": "last page (default: the first one)",
    "per_page": "records on a page (default: 10)",
    "level": "least level, by number or name",
    "verbose": "show more columns",
}
PAGES_SHOWN = {
    "listen_point": "LISTEN_POINT",
    "from_page": "N",
    "to_page": "N",
    "per_page": "N",
    "level": "LEVEL",
}
