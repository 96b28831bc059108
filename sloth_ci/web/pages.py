"""Pages of extensions, below `/-/` of an app or of the server."""

from sloth_ci.errors import MethodRefused, PathNotFound
from sloth_ci.extension.making import Extensions
from sloth_ci.request import Reply, Request
from sloth_ci.web.login import LoginCheck

METHODS = ("GET", "HEAD")


def show_page(extensions: Extensions, path: str, request: Request, login: LoginCheck) -> Reply:
    """The answer of the page at that path, which counts from the listen point.

    Raises PathNotFound, MethodRefused, or what the check of the login raises.
    """
    page = extensions.find_page(path)
    if page is None:
        raise PathNotFound(path=request.path)
    if not page.open:
        login.check(request)
    if request.method not in METHODS:
        raise MethodRefused(method=request.method, allowed=", ".join(METHODS))
    return page.answer(request)
