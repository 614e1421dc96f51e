"""The frame of the page: head, style, contents. It asks nobody for anything and runs no script."""

from __future__ import annotations

import re

from imil.study.report.html import Piece, anchor, el, items, join

STYLE = """
:root { color-scheme: light dark; --ground: #fff; --ink: #1d2025; --quiet: #59606b; --line: #d8dce2;
  --band: #f4f6f8; --link: #005a8e; --warn: #8a4b00; --warn-ground: #fff6e6; --good: #00664b; }
@media (prefers-color-scheme: dark) { :root { --ground: #15171b; --ink: #e3e6eb; --quiet: #a3abb8;
  --line: #363b44; --band: #1d2026; --link: #6cb8ec; --warn: #f2bb66; --warn-ground: #2b2212;
  --good: #5fcfae; } }
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body { margin: 0 auto; max-width: 66rem; padding: 2.5rem 1.5rem 5rem; background: var(--ground);
  color: var(--ink); font: 1rem/1.55 system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif;
  overflow-wrap: break-word; }
h1, h2, h3 { line-height: 1.25; text-wrap: balance; }
h1 { font-size: 2rem; margin: 0 0 .3rem; }
h2 { font-size: 1.35rem; margin: 3rem 0 .8rem; padding-top: .9rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1.02rem; margin: 1.5rem 0 .3rem; }
p, li, dd, blockquote { max-width: 46rem; }
p { margin: .45rem 0; }
a { color: var(--link); }
.lead { color: var(--quiet); margin-bottom: 1.2rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; list-style: none; padding: 0;
  margin: 1.2rem 0 0; font-size: .92rem; }
ul { padding-left: 1.25rem; margin: .5rem 0; }
li { margin: .3rem 0; }
.status { border-left: .3rem solid var(--good); background: var(--band); padding: .6rem 1rem;
  max-width: none; }
.unfinished { border-color: var(--warn); background: var(--warn-ground); }
.unfinished strong { color: var(--warn); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.4rem;
  margin: .8rem 0 1.4rem; }
dt { color: var(--quiet); }
dd { margin: 0; min-width: 0; }
code { font: .88em/1.4 ui-monospace, "SF Mono", Consolas, monospace; overflow-wrap: anywhere; }
blockquote { margin: .8rem 0; padding: .4rem 1.1rem; border-left: .2rem solid var(--line); }
.wide { overflow-x: auto; margin: 1.3rem 0 .6rem; }
.note { color: var(--quiet); font-size: .89rem; margin: 0 0 1.8rem; }
.wide:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
table { border-collapse: collapse; font-size: .89rem; line-height: 1.35; min-width: 100%;
  font-variant-numeric: tabular-nums lining-nums; }
caption { caption-side: top; text-align: left; font-weight: 600; font-size: .95rem;
  padding-bottom: .5rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem .9rem .4rem 0; }
caption span { display: inline-block; position: sticky; left: 0; max-width: calc(100vw - 2rem); }
thead th { border-bottom: 1.5px solid var(--ink); vertical-align: bottom; font-weight: 600;
  line-height: 1.25; }
tbody th { font-weight: 500; }
tbody tr + tr { border-top: 1px solid var(--line); }
tbody tr.begins { border-top: 1.5px solid var(--quiet); }
tbody tr:last-child { border-bottom: 1.5px solid var(--ink); }
.results thead th, td.n { white-space: nowrap; }
.results tbody th { min-width: 8.5rem; max-width: 13rem; }
td .word { display: block; white-space: normal; max-width: 8rem; }
td small, th small { color: var(--quiet); font-size: .86em; font-weight: 400; }
.faint { color: var(--quiet); }
.shown { color: var(--ink); font-weight: 650; }
.shown small { color: var(--ink); }
.delta { margin-top: .25rem; }
.claim td:nth-child(2) { width: 30%; } .claim td:nth-child(3) { white-space: nowrap; }
.claim tbody th { min-width: 7.5rem; max-width: 9rem; } .claim tbody th small { display: block; }
.answered { color: var(--good); } .for-the-authors { color: var(--warn); }
summary { cursor: pointer; font-size: .95rem; font-weight: 600; padding: .4rem 0; }
summary:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
figure { margin: 1.4rem 0 2.2rem; }
figure .wide { margin: 0; }
figure img { display: block; max-width: 100%; height: auto; background: #fff; padding: .6rem;
  border: 1px solid var(--line); border-radius: 3px; }
figcaption { color: var(--quiet); font-size: .92rem; padding-top: .5rem; max-width: 46rem; }
figcaption b { color: var(--ink); font-weight: 600; }
@media (max-width: 40rem) { body { padding: 1.4rem 1rem 3rem; } h1 { font-size: 1.6rem; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .6rem; }
  .results tbody th, .results thead th:first-child { position: sticky; left: 0;
    background: var(--ground); min-width: 6.5rem; max-width: 7.5rem; padding-right: .6rem; }
  figure img { max-width: none; } }
@page { margin: 16mm 14mm; }
@media print { :root { color-scheme: light; --ground: #fff; --ink: #000; --quiet: #444;
  --line: #bbb; --band: #fff; --link: #000; --warn: #000; --warn-ground: #fff; --good: #000; }
  body { max-width: none; padding: 0; font-size: 10pt; } nav { display: none; }
  p, li, dd, blockquote, figcaption { max-width: none; }
  a { text-decoration: none; } .wide { overflow: visible; } table { font-size: 7.6pt; }
  caption { font-size: 8pt; } th, td { padding: .25rem .5rem .25rem 0; }
  .results tbody th { min-width: 0; } .status { border: 1px solid #000; border-left-width: .3rem; }
  .note, figcaption { font-size: 8.5pt; } h2, h3, caption, thead { break-after: avoid; }
  figure img { max-width: 100%; max-height: 225mm; width: auto; border: 0; padding: 0; }
  figure, tr, .status { break-inside: avoid; } tbody tr:first-child { break-before: avoid; }
  thead { display: table-header-group; } }
"""


def page(title: str, *inside: Piece) -> str:
    """The whole document.

    Args:
        title: of the window.
        inside: the header, then sections.
    """
    head = join(
        Piece('<meta charset="utf-8">'),
        Piece('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        # whatever stood in a name could still neither load nor run
        Piece(
            '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
            "img-src data:; style-src 'unsafe-inline'\">"
        ),
        el("title", title),
        el("style", Piece(STYLE)),
    )
    document = el("html", el("head", head), el("body", *inside), at={"lang": "en"})
    return f"<!doctype html>\n{document}\n"


def contents(sections: Piece) -> Piece:
    """Links to the sections."""
    titles = re.findall(r'<h2 id="[^"]*">([^<]*)</h2>', sections)
    links = [el("a", Piece(title), at={"href": f"#{anchor(title)}"}) for title in titles]
    return el("nav", items(links), at={"aria-label": "Contents"})
