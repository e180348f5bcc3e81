"""What of a web page is not its text: what nobody sees, and what stands around it on every page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

Aside = Literal["navigation", "a cookie notice", "a page footer", "hidden text"]
Place = Literal["above", "beside", ""]

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
_BREADCRUMBS = re.compile(r"(?:[a-z]+[-_]+)?breadcrumbs?(?:[-_]+(?:list|nav|trail|container|bar))*")
_NO_BREADCRUMBS = re.compile(r"(?:has|with|no|without|hide)[-_]")
_BREADCRUMB_TAGS = {"div", "section", "ul", "ol", "p"}
_SKIPS_TO_TEXT = re.compile(
    r"(?:skip|jump)(?: directly)?(?: to(?: the)?)?(?: main| page)?(?: content| navigation| text)"
    r"|(?:direkt |springe )?zum (?:haupt)?inhalt(?: springen| wechseln)?"
    r"|aller (?:directement )?au contenu(?: principal)?"
    r"|(?:saltar|ir) al contenido(?: principal)?"
)


def is_never_text(tag: str, attributes: Mapping[str, str]) -> bool:
    """Whether an element is for programs, or is the button that copies the code beside it."""
    if tag in _NEVER_TEXT:
        return True
    if tag != "button" or not attributes:
        return False
    named = (attributes.get(name, "") for name in ("class", "title", "aria-label"))
    return any(map(_COPIES.search, named))


def is_breadcrumb(attributes: Mapping[str, str]) -> bool:
    """Whether an element says that it is the way from the start page to this one."""
    named = " ".join(attributes.get(name, "") for name in _NAMES_OF_ELEMENT).lower().split()
    return attributes.get("itemtype", "").endswith("/BreadcrumbList") or any(
        _BREADCRUMBS.fullmatch(name) and not _NO_BREADCRUMBS.match(name) for name in named
    )


def skips_to_text(link: str) -> bool:
    """Whether a link of this text leads past the navigation, for those who cannot see the page."""
    return _SKIPS_TO_TEXT.fullmatch(" ".join(link.lower().split())) is not None


def place_of(tag: str, attributes: Mapping[str, str], *, in_article: bool) -> Place:
    """Where an element stands, whose content says whether it is navigation: above all text, where
    a title may be, or beside it."""
    role = attributes.get("role", "").lower()
    if tag == "aside" or role == "complementary":
        return "beside"
    return "above" if not in_article and (tag == "header" or role == "banner") else ""


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
    if tag in _BREADCRUMB_TAGS and is_breadcrumb(attributes):
        return "navigation"
    if not in_article and (tag == "footer" or role == "contentinfo"):
        return "a page footer"
    named = f"{attributes.get('id', '')} {attributes.get('class', '')}".lower()
    if named.strip() and (by_name := _by_name(tag, named, in_article=in_article)):
        return by_name
    return "navigation" if place_of(tag, attributes, in_article=in_article) else None


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
