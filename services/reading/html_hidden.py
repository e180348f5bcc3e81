"""What of a web page is not its text: what nobody sees, and what stands around it on every page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

Aside = Literal["navigation", "a cookie notice", "a page footer", "hidden text"]

_NEVER_TEXT = {"script", "style", "template", "noscript", "svg", "iframe", "annotation", "datalist"}
_NAVIGATION = {
    "nav", "navbar", "navigation", "mainnav", "main-nav", "main-navigation", "nav-menu",
    "site-nav", "site-navigation", "sitenav", "topnav", "top-nav", "sidenav", "side-nav",
    "breadcrumb", "breadcrumbs", "menubar", "menu-bar", "menu", "main-menu", "sidebar",
    "sphinxsidebar", "bd-sidebar", "md-sidebar",
}  # fmt: skip
_FOOTERS = {"footer", "site-footer", "page-footer", "pagefooter", "global-footer", "main-footer"}
_SKIPS = {
    "sr-only", "visually-hidden", "visuallyhidden", "screen-reader-text", "screen-reader-only",
    "skip-link", "skiplink", "skip-to-content", "skip-nav", "skip-to-main",
}  # fmt: skip
_COOKIES = re.compile(
    r"(?:^|[\s_-])(?:cookies?|gdpr|consent)[\s_-]*(?:law[\s_-]*)?(?:bar|banner|notice|notification"
    r"|popup|pop-up|modal|overlay|consent|message|dialog|disclaimer|layer|prompt|wall|toast|info"
    r"|alert|warning)|onetrust|cybotcookiebot|usercentrics|cookiebot|cookieconsent",
    re.IGNORECASE,
)
_COPIES = re.compile(r"\bcopy|copybtn|\bclip(?:board)?\b", re.IGNORECASE)
_NAMES_OF_ELEMENT = ("id", "class", "aria-label")
_UNSEEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)", re.IGNORECASE)
_CONTAINERS = {"div", "section", "aside", "dialog", "form", "footer", "ul", "ol", "table", "header"}


def is_never_text(tag: str, attributes: Mapping[str, str]) -> bool:
    """Whether an element is for programs, or is the button that copies the code beside it."""
    if tag in _NEVER_TEXT:
        return True
    if tag != "button" or not attributes:
        return False
    named = (attributes.get(name, "") for name in ("class", "title", "aria-label"))
    return any(map(_COPIES.search, named))


def is_breadcrumb(attributes: Mapping[str, str]) -> bool:
    return any("breadcrumb" in attributes.get(name, "").lower() for name in _NAMES_OF_ELEMENT)


def aside_of(tag: str, attributes: Mapping[str, str], *, in_article: bool) -> Aside | None:
    """What kind of aside an element is, or None if it is part of the text."""
    if "hidden" in attributes and attributes["hidden"].lower() != "false":
        return "hidden text"
    if attributes.get("aria-hidden", "").lower() == "true":
        return "hidden text"
    if _UNSEEN.search(attributes.get("style", "")):
        return "hidden text"
    if tag == "dialog" and "open" not in attributes:
        return "hidden text"
    role = attributes.get("role", "").lower()
    if tag == "nav" or role == "navigation":
        return "navigation"
    if not in_article and (tag == "footer" or role == "contentinfo"):
        return "a page footer"
    named = f"{attributes.get('id', '')} {attributes.get('class', '')}".lower()
    return _by_name(tag, named, in_article=in_article) if named.strip() else None


def _by_name(tag: str, named: str, *, in_article: bool) -> Aside | None:
    names = set(named.split())
    if names & _SKIPS:
        return "hidden text"
    if tag not in _CONTAINERS:
        return None
    if _COOKIES.search(named):
        return "a cookie notice"
    if names & _NAVIGATION:
        return "navigation"
    return "a page footer" if not in_article and names & _FOOTERS else None
