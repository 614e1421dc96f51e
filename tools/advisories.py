"""Compare the pins with the advisories that this project knows of: part of make lint.

The list is in tools/advisories.toml, since many machines have no network. Where there is one,
`pip-audit --require-hashes -r requirements.txt` knows more.
"""

import re
import sys
import tomllib
from pathlib import Path

from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
PIN = re.compile(r"^([\w.-]+)(?:\[[^]]*\])?==([\w.+!-]+)", re.MULTILINE)


def affected(requirements):
    """A line for each pin of a requirements file that an advisory concerns."""
    advisories = tomllib.loads((ROOT / "tools" / "advisories.toml").read_text())["advisory"]
    return [
        f"{name} {version}: {one['id']} ({one['what']}), fixed in {one['fixed']}"
        for name, version in PIN.findall(Path(requirements).read_text())
        for one in advisories
        if one["package"] == name.lower().replace("_", "-")
        and Version(version) < Version(one["fixed"])
    ]


def main():
    lines = affected(ROOT / "requirements.txt")
    for line in lines:
        print(line, file=sys.stderr)
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main())
