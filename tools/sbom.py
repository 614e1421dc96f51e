"""Write the packages that imil is tested with as a CycloneDX list: python tools/sbom.py FOLDER.

Names, versions and hashes are those of requirements.txt; make wheel puts the list beside the wheel.
"""

import json
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENTRY = re.compile(r"^([\w.-]+)==([\w.+-]+)(.*?)(?=^[\w]|\Z)", re.MULTILINE | re.DOTALL)


def write_sbom(folder):
    """Write imil-VERSION.cdx.json in the folder; returns its path."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    name, version = project["name"], project["version"]
    content = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "name": name,
                "version": version,
                "purl": f"pkg:pypi/{name}@{version}",
                "licenses": [{"license": {"id": project["license"]}}],
            }
        },
        "components": [
            _component(*found) for found in ENTRY.findall((ROOT / "requirements.txt").read_text())
        ],
    }
    path = Path(folder) / f"{name}-{version}.cdx.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def _component(name, version, rest):
    hashes = re.findall(r"sha256:([0-9a-f]{64})", rest)
    return {
        "type": "library",
        "name": name,
        "version": version,
        "purl": f"pkg:pypi/{name.lower()}@{version}",
        "hashes": [{"alg": "SHA-256", "content": digest} for digest in hashes],
    }


if __name__ == "__main__":
    print(write_sbom(*sys.argv[1:]))
