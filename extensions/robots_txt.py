"""`robots_txt` asks search engines to stay away from the whole server, at `/robots.txt`.

```yaml server
extensions:
  robots:
    module: robots_txt
```
"""

from sloth_ci.extension import Extension, hook
from sloth_ci.hooks import Page
from sloth_ci.request import Reply

ANSWER = Reply(200, b"User-agent: *\nDisallow: /\n", {"Content-Type": "text/plain"})


class RobotsTxt(Extension):
    """Shows one page, to everybody (RFC 9309)."""

    for_apps, for_server = False, True

    @hook
    def pages(self) -> list[Page]:
        """The page for search engines."""
        return [Page("/robots.txt", "what search engines may read", lambda _: ANSWER, open=True)]


EXTENSION = RobotsTxt
