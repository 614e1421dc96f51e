"""The code of the documentation, read by Sybil: Python, TOML files, commands, and keys to press."""

from __future__ import annotations

import doctest
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

from processes import begin, command
from sybil import Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

ROOT = Path(__file__).parent.parent
WIDTH = "300"  # columns, so that no line of a command is broken
NUMBER = re.compile(r"\d+(?:\.\d+)?")
LINK = re.compile(r"http://127\.0\.0\.1:\d+/in/\S+")


def python_pages() -> list[Path]:
    """The pages that show Python, the tutorials apart, which are run as a whole."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [page for page in pages if "```python" in page.read_text() and page not in TUTORIALS]


TUTORIALS = sorted((ROOT / "docs/tutorials").glob("*.md"))
PYTHON = Sybil(parsers=[PythonCodeBlockParser()])


class Tutorial:
    """A tutorial in a folder: what it shows is done, in its order.

    A block `console` has commands after `$`, which go on after a backslash, and what they print:
    numbers may differ, and `...` stands for anything. `imil serve` runs until `end`. A block `toml`
    is the file that its first line names. `press` is called with the link that `imil invite` makes.
    """

    def __init__(self, folder: Path, press=None) -> None:
        self.folder, self.press = folder, press
        self.servers, self.output = [], ""

    def run(self, page: Path) -> None:
        parsers = [
            PythonCodeBlockParser(),
            CodeBlockParser("console", self._console),
            CodeBlockParser("toml", self._file),
        ]
        examples = list(Sybil(parsers=parsers).parse(page))
        assert examples, f"{page} shows nothing"
        for example in examples:
            example.evaluate()

    def end(self) -> None:
        for server in self.servers:
            server.terminate()
            server.join()

    @property
    def _environment(self) -> dict[str, str]:
        # a cache of its own: what is printed depends on what was decoded before
        return {"COLUMNS": WIDTH, "IMIL_CACHE": str(self.folder / "cache")}

    def _file(self, example) -> None:
        name = re.match(r"# ([\w.]+)\n", example.parsed)[1]
        (self.folder / name).write_text(example.parsed)

    def _console(self, example) -> None:
        for shown in re.split(r"^\$ ", example.parsed, flags=re.M)[1:]:
            line, _, expected = shown.replace("\\\n", " ").partition("\n")
            self.output = self._run(line)
            masked = [NUMBER.sub("0", text) for text in (expected, self.output)]
            checker = doctest.OutputChecker()
            how = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            assert not expected or checker.check_output(*masked, how), (
                f"{example.path} shows for `{line}`:\n{expected}\nbut it prints:\n{self.output}"
            )
            if self.press and line.startswith("imil invite"):
                self.press(LINK.search(self.output)[0])

    def _run(self, line: str) -> str:
        words = shlex.split(line)
        if words[:2] == ["imil", "serve"]:
            return self._serve(words[1:])
        if words[0] == "imil":
            result = command(words[1:], self.folder, **self._environment)
        else:
            result = subprocess.run(words, cwd=self.folder, capture_output=True, text=True)
        assert result.returncode == 0, f"{line}\n{result.stdout}{result.stderr}"
        return result.stdout + result.stderr

    def _serve(self, words: list[str]) -> str:
        out = self.folder / "serve.txt"
        self.servers.append(begin(words, self.folder, out, **self._environment))
        while "/in/" not in (text := out.read_text() if out.exists() else ""):
            assert self.servers[-1].is_alive(), text
            self.servers[-1].join(0.1)
        return text


def presses(page: Path) -> Iterator[list[str]]:
    """What a reader presses in each case of the table of keys, as Playwright names it."""
    table = page.read_text().split("| case | press |")[1].split("\n\n")[0]
    for row in re.findall(r"^\| \d+ \| (.*?) \|", table, re.M):
        keys = re.findall(r"`([^`]+)`", row)
        joined = re.sub(r"(Ctrl|Shift)\n", r"\1+", "\n".join(keys))
        yield joined.replace("Ctrl", "Control").split("\n")
