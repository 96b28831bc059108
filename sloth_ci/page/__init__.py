"""The page: what people see in a browser, made of the API's answers and of nothing else.

Every view calls actions of the API by their names and fills a template with what they answer; so
what the page knows and may do is what the API knows and allows. It can be read without JavaScript;
`static/` holds the scripts that keep it live and work its buttons.
"""

from sloth_ci.page.pages import Pages, wants_page

__all__ = ["Pages", "wants_page"]
