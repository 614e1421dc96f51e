"""The table of keys of the reading room: each key in each state of the page, and what it does."""

from contextlib import closing

import pytest
from browsers import ReaderBrowser, chromium
from rooms import add_round, link, serving

from imil.grid import Grid
from imil.store import Store

NAMES = {
    **{f"arrow{way}": f"Arrow{way.title()}" for way in ("left", "right", "up", "down")},
    "pageup": "PageUp",
    "pagedown": "PageDown",
    "enter": "Enter",
    "space": "Space",
    "esc": "Escape",
    "ctrl": "Control",
    "shift": "Shift",
}
ARROWS = {"arrowleft", "arrowright", "arrowup", "arrowdown"}
CLOSING = {"enter", "space", "esc"}  # keys that close a dialog whose button has the focus
PRESS, MOVE = {"enter", "space"}, ARROWS | {"pageup", "pagedown"}
ANYWHERE = {"ctrl+enter", "esc"}  # in text fields too

SVG, INVERT, ALL = "imil-grid svg", "[data-command=invert]", "[data-command=all]"
SLIDER, CLASS, KEEP = "#opacity", "input[value=true]", "label.check input"
# what has the focus or was used last, and the keys that are then its own
STATES = {
    "nothing used yet": ("", "", set()),
    "film clicked": ("click", ".pane", set()),
    "grid focused": ("focus", SVG, set()),
    "invert clicked": ("click", INVERT, set()),
    "all clicked": ("click", ALL, set()),
    "slider clicked": ("click", SLIDER, set()),
    "class clicked": ("click", CLASS, set()),
    "keep clicked": ("click", KEEP, set()),
    "preview opened": ("click", ".preview summary", set()),
    "window clicked": ("click", "[data-command=preset-2]", set()),
    "invert focused": ("focus", INVERT, PRESS),
    "slider focused": ("focus", SLIDER, MOVE),
    "class focused": ("focus", CLASS, ARROWS | {"space"}),
    "keep focused": ("focus", KEEP, {"space"}),
    "numbers focused": ("focus", "#numbers", {"text"}),
    "reason focused": ("focus", "#reason", {"text"}),
    "dialog open": ("dialog", "", {"everything"}),
    "dialog closed": ("closed", "", set()),
}


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def reader(browser, tmp_path_factory):
    """A reader's browser at the first case of a round."""
    path = tmp_path_factory.mktemp("room") / "imil.sqlite"
    with closing(Store(path)) as store:
        add_round(store, cases=3, grid=Grid(4, 4))
        with serving(path) as address:
            opened = ReaderBrowser(browser, address, link(store), 1280, 900).start()
            yield opened
            opened.context.close()


@pytest.fixture(scope="module")
def table(reader):
    """Commands with their keys, as the page has them."""
    code = "import('/static/shortcuts.js').then(({ COMMANDS }) => COMMANDS)"
    return [(one["id"], one["key"], one["where"]) for one in reader.page.evaluate(code)]


def press(reader, key):
    """Press a key as the table writes it."""
    parts = [key] if len(key) == 1 else key.split("+")
    shifted = len(parts) > 1
    names = [
        NAMES.get(part, part.upper() if shifted and "shift" in parts else part) for part in parts
    ]
    reader.page.keyboard.press("+".join(names))


def belongs(key, own):
    """Whether a key is the own key of what has the focus."""
    if "everything" in own or ("text" in own and key not in ANYWHERE):
        return True
    return key in own


def enter(reader, way, target):
    """Bring the page into a state; its commands are noted, not run."""
    page = reader.page
    page.evaluate("document.activeElement.blur()")
    if way == "click":
        page.locator(target).first.click()
    elif way == "focus":
        page.keyboard.press("Shift")  # what follows counts as used with the keyboard
        page.evaluate("(target) => document.querySelector(target).focus()", target)
    elif way in ("dialog", "closed"):
        page.get_by_role("button", name="Keyboard shortcuts", exact=True).click()
        page.locator("dialog").wait_for()
        if way == "closed":
            reader.click_button("Close")
    page.evaluate("window.ran = []")


def ran(reader):
    """The commands since the last call."""
    return reader.page.evaluate("window.ran.splice(0)")


@pytest.mark.parametrize("state", STATES)
def test_each_key_runs_its_command_unless_it_belongs_to_what_has_the_focus(reader, table, state):
    way, target, own = STATES[state]
    page = reader.page
    page.evaluate(
        """() => {
            const page = document.querySelector("imil-case");
            window.ran = [];
            page.run = (command) => window.ran.push(command);
        }"""
    )
    grid = state == "grid focused"
    wrong = {}
    enter(reader, way, target)
    focus = "document.activeElement.outerHTML.slice(0, 60)"
    focused = page.evaluate(focus)
    for key in dict.fromkeys(key for _, key, _ in table):
        named = {where: command for command, other, where in table if other == key}
        command = (
            (named.get("grid") if grid else None) or named.get("page") or named.get("anywhere")
        )
        expected = [] if belongs(key, own) else [command]
        press(reader, key)
        if way == "dialog" and key in CLOSING:
            page.locator("dialog").wait_for(state="detached")
        got = ran(reader)
        if key in own & PRESS and way == "focus" and target == INVERT:
            got = [one for one in got if one != "invert"]  # the button itself was pressed
        if got != expected:
            wrong[key] = got, expected
        if page.evaluate(focus) != focused:
            enter(reader, way, target)
    page.evaluate("delete document.querySelector('imil-case').run")
    if way == "dialog":
        reader.click_button("Close")
    assert wrong == {}


CASE = "document.querySelector('imil-case').dataset.case"
MARKS = "document.querySelector('imil-case').dataset.squares"
MISLEADING = "document.querySelector('imil-case').dataset.misleading"
CURSOR = "document.querySelector('imil-grid svg').getAttribute('aria-activedescendant')"
FOCUS = "document.activeElement.tagName"
PREVIEW = "document.querySelector('.preview').open"
HEAT_CLASS = "document.querySelector('input[value=true]').checked"
OPACITY = "document.querySelector('#opacity').value"
CONTOURS = "document.querySelector('.scale input').checked"
LAYOUT = "document.querySelector('imil-viewer').dataset.layout"
BARE = "document.querySelector('imil-viewer').hasAttribute('data-bare')"
LENS = "document.querySelector('.magnifier')?.hidden ?? true"
READOUT = "document.querySelector('.readout').textContent"
LABEL = "document.querySelector('.view-label').textContent"
TOOL = "document.querySelector('imil-viewer').dataset.tool"
DIALOG = "document.querySelector('dialog') !== null"
HEAT = """(() => {
    const canvas = document.querySelector(".pane imil-heat-map canvas");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return data.some((value) => value > 0);
})()"""
HELD = {"hide", "magnify"}
CHANGED = """(before) => new Promise((done) => {{
    const end = performance.now() + 120000;
    const check = () => {{
        if ({value} !== before || performance.now() > end) done({value} !== before);
        else requestAnimationFrame(check);
    }};
    check();
}})"""
# in this order, what changes when the key of a command is pressed
EFFECTS = [
    *(("next", CASE), ("previous", CASE), ("right", CURSOR), ("down", CURSOR), ("left", CURSOR)),
    *(("up", CURSOR), ("leave", FOCUS), ("grid", FOCUS), ("pick", MARKS), ("leave", FOCUS)),
    *(("misleading", MISLEADING), ("numbers", FOCUS), ("leave", FOCUS), ("reason", FOCUS)),
    *(("leave", FOCUS), ("all", MARKS), ("none", MARKS), ("complement", MARKS), ("undo", MARKS)),
    *(("redo", MARKS), ("preview", PREVIEW), ("hide", HEAT), ("blink", HEAT), ("blink", HEAT)),
    *(("class", HEAT_CLASS), ("fainter", OPACITY), ("stronger", OPACITY), ("contours", CONTOURS)),
    *(("layout", LAYOUT), ("bare", BARE), ("bare", BARE), ("magnify", LENS), ("zoom-in", READOUT)),
    *(("fit", READOUT), ("zoom-out", READOUT), ("true-size", READOUT), ("reset", READOUT)),
    *(("preset-2", READOUT), ("preset-1", READOUT), ("preset-3", READOUT), ("preset-4", READOUT)),
    *(("invert", LABEL), ("rotate-right", LABEL), ("rotate-left", LABEL), ("flip-vertical", LABEL)),
    *(("flip-horizontal", LABEL), ("tool-rectangle", TOOL), ("tool-window", TOOL)),
    *(("tool-zoom", TOOL), ("tool-pan", TOOL), ("tool-select", TOOL), ("keys", DIALOG)),
    *(
        ("wrong-label", CASE),
        ("undo-answer", CASE),
        ("not-assessable", CASE),
        ("undo-answer", CASE),
    ),
    *(("submit", CASE), ("undo-answer", CASE), ("submit-anywhere", CASE)),
    *(("reason", FOCUS), ("leave", FOCUS), ("skip", CASE)),
]


def test_each_command_does_what_the_table_says(reader, table):
    page = reader.page
    keys = {command: key for command, key, _ in table}
    needs_other = {"tool-length", "slice-back", "slice-on", "cine"}  # a spacing, a volume
    needs_other |= {key for key in keys if key.startswith("hounsfield-")}  # a CT
    assert {command for command, _ in EFFECTS} == set(keys) - needs_other
    page.mouse.move(*reader.center_of(6))
    for command, probe in EFFECTS:
        if probe == CASE:
            reader.wait_until_ready()
        if command == "skip":
            page.fill("#reason", "cut off")
            page.evaluate("document.activeElement.blur()")
        value = f"JSON.stringify({probe})"
        before = page.evaluate(value)
        if command in HELD:
            page.keyboard.down(keys[command])
        else:
            press(reader, keys[command])
        assert page.evaluate(CHANGED.format(value=value), before), command
        if command in HELD:
            held = page.evaluate(value)
            page.keyboard.up(keys[command])
            page.evaluate(CHANGED.format(value=value), held)  # what follows begins as it was
        if probe == DIALOG:
            page.keyboard.press("Escape")
