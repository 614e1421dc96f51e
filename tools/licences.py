"""List the licences of what is installed, and refuse the GPL and AGPL: make licences.

Part of make lint. It reads the metadata of installed packages alone, so it needs no network; what
an extra needs and is not installed is named. The LGPL is allowed: a library under it leaves the
licence of what uses it as it is.
"""

import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
# A?GPL, not LGPL; a licence in words is the General Public License without Lesser before it
REFUSED = re.compile(r"\bA?GPL|(?<!lesser )(?<!library )general public licen[cs]e", re.IGNORECASE)

# Packages whose metadata name the GPL for a file that the wheel does not have, and that file.
# docutils: its COPYING.rst lists every file that is not in the public domain; one, a mode for
# Emacs in the source archive, is under the GPL-3.0, all others under BSD licences. Read for that
# version.
NOT_INSTALLED = {("docutils", "0.22.4"): "rst.el"}


def licence(distribution):
    """The licence as the package states it: an SPDX expression, its classifiers, a name, or the
    first line of its licence file that says one.
    """
    about = distribution.metadata
    classifiers = [
        text.split(" :: ")[-1] for text in about.get_all("Classifier") or [] if "License ::" in text
    ]
    named = (about.get("License") or "").strip()
    files = [
        distribution.read_text(f"licenses/{name}") or ""
        for name in about.get_all("License-File") or []
    ]
    lines = [line.strip() for text in files for line in text.splitlines()]
    in_files = next((line for line in lines if re.search("licen[cs]e", line, re.IGNORECASE)), "")
    texts = [
        about.get("License-Expression"),
        "; ".join(classifiers),
        named.split("\n")[0][:70],
        in_files,
    ]
    return next((text for text in texts if text), "not stated")


def refused(text):
    """Whether a licence binds what uses the package: every alternative is under GPL or AGPL.

    >>> [refused(one) for one in ("GPL-3.0-only", "MIT OR GPL-2.0", "LGPL-3.0", "MIT AND AGPL-3.0")]
    [True, False, False, True]
    """
    return all(REFUSED.search(one) for one in re.split(r"\bOR\b", text.replace("(", " ")))


def exempt(name, distribution):
    """Whether what the GPL is stated for was looked up, and is not among the installed files."""
    file = NOT_INSTALLED.get((name, distribution.version))
    return bool(file and distribution.files) and all(one.name != file for one in distribution.files)


def required(requirements, installed):
    """Canonical names of packages that these requirements bring, and those that are missing.

    Args:
        requirements: as pyproject.toml writes them.
        installed: canonical name -> distribution.
    """
    found, missing, seen = set(), set(), set()
    waiting = [(Requirement(text), {""}) for text in requirements]
    while waiting:
        one, extras = waiting.pop()
        name = canonicalize_name(one.name)
        if one.marker and not any(one.marker.evaluate({"extra": extra}) for extra in extras):
            continue
        asked = frozenset(one.extras) | {""}
        if (name, asked) in seen:
            continue
        seen.add((name, asked))
        if name not in installed:
            missing.add(name)
            continue
        found.add(name)
        waiting += [(Requirement(text), asked) for text in installed[name].requires or []]
    return found, missing


def extras_of(project):
    """Extra -> its requirements; those that name extras of the project itself are resolved."""
    extras = project.get("optional-dependencies", {})

    def resolved(texts):
        for text in texts:
            one = Requirement(text)
            if canonicalize_name(one.name) == canonicalize_name(project["name"]):
                for extra in one.extras:
                    yield from resolved(extras[extra])
            else:
                yield text

    needed = project.get("dependencies", [])
    return {"imil": needed} | {name: [*needed, *resolved(texts)] for name, texts in extras.items()}


def report(project, distributions):
    """Lines of a listing, and lines about what is refused.

    Args:
        project: the table `project` of pyproject.toml.
        distributions: installed packages.
    """
    installed = {canonicalize_name(one.name): one for one in distributions if one.name}
    users, lines, faults = {}, [], []
    for extra, texts in extras_of(project).items():
        found, missing = required(texts, installed)
        for name in found:
            users.setdefault(name, []).append(extra)
        if missing:
            lines.append(f"not installed, of {extra}: {', '.join(sorted(missing))}")
    for name, one in sorted(installed.items()):
        if name == canonicalize_name(project["name"]):
            continue
        extras = users.get(name, [])
        of = "imil" if "imil" in extras else ", ".join(extras) or "no extra"
        allowed = exempt(name, one)
        note = f"; {NOT_INSTALLED[name, one.version]} is not installed" if allowed else ""
        lines.append(f"{name} {one.version}: {licence(one)} ({of}){note}")
        bad = refused(licence(one)) or licence(one) == "not stated"
        if extras and bad and not allowed:
            faults.append(
                f"{name} {one.version}, of {of}: {licence(one)}; expected a licence other than the "
                "GPL or AGPL: remove it from pyproject.toml"
            )
    return lines, faults


def main(arguments):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines, faults = report(project, metadata.distributions())
    if "--quiet" not in arguments:
        print(*lines, sep="\n")
    print(*faults, sep="\n", end="\n" if faults else "", file=sys.stderr)
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
