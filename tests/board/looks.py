"""What is asked of every page, whatever it shows: that all of it is seen, and that a screen reader can read it."""

from __future__ import annotations

from pathlib import Path

from tests.board.conftest import Page

AXE = Path(__file__).parent / "axe.min.js"
"""axe-core 4.12.1, MPL-2.0: its head names the licence."""

DRESSES = (("zh", "dark"), ("zh", "light"), ("en", "light"), ("en", "dark"))
"""Each language in each theme, one switch at a time."""
WIDTHS = (390, 1180, 1440, 1920)

WIDE = """
  const sheet = new CSSStyleSheet();
  const larger = ':root { font-size: 130% !important }';
  sheet.replaceSync(`body, svg text { font-family: '${arguments[0]}' !important } ${arguments[1] ? larger : ''}`);
  document.adoptedStyleSheets = [sheet];
  dispatchEvent(new Event('resize'));
"""

_CHECK = """
  const done = arguments[0];
  axe.run(document).then((r) => done(r.violations.map((v) => [v.id, v.impact, v.nodes[0].html])));
"""

_CLIPPED = """
  const told = `.value, .tile .label > span, .top .strip > *, .tool, .button, .abtns button, .num, .dnum, .rbig,
    .clist b, .crumbs b, .rlist dd, .hours td, .plaintable td, .failure b, .talk time, .tabs a, .nav a`, bad = [];
  for (const node of document.querySelectorAll(told)) {
    const style = getComputedStyle(node), right = node.getBoundingClientRect().right, what = node.className + ': ';
    if (!node.getClientRects().length || style.clipPath !== 'none' || node.closest('.quiet, .hint')) continue;
    if (node.scrollWidth > node.clientWidth + 1 && style.overflow !== 'visible') bad.push(what + node.textContent);
    if (right > innerWidth + 1 && !node.closest('.scrollx, pre')) bad.push('out: ' + what + node.textContent);
  }
  return bad;
"""

ALIVE = """
  const bad = ({ name, value }) => /^on|^style$/.test(name) || /^javascript:/.test(value);
  const acts = (node) => [...node.attributes].some(bad);
  const strange = 'img, script, iframe, math, style, svg a:not(.step), template';
  return [...document.querySelectorAll('#app *')].filter((x) => x.matches(strange) || acts(x)).map((x) => x.outerHTML);
"""
"""What only somebody else's text could have put there: the links of a drawing's steps are ours."""


def fits(page: Page, width: int, *where: object) -> None:
    """Nothing scrolls sideways, nothing is cut off, and the browser has no complaint."""
    assert page.do("return document.documentElement.scrollWidth") <= width, (width, where)
    assert page.do(_CLIPPED) == [], (width, where)
    assert page.complaints() == [], (width, where)


def legible(page: Page, *where: object) -> None:
    """axe-core finds nothing serious."""
    if not page.do("return !!window.axe"):
        page.do(AXE.read_text(encoding="utf-8"))
    found = page.do(_CHECK, later=True)
    assert [one for one in found if one[1] in ("serious", "critical")] == [], where
