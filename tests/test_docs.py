"""Every snippet of README.md and docs/ works: what a page shows, a reader can type.

One page is one story: its blocks run in order, share their names and one empty folder.

    ```python              runs; `await` at the top level is fine
    ```python no-run       is only compiled
    ```console             its `$ dagger …` lines run and must leave with 0
    ```console exit=3      its last `$ dagger …` line must leave with 3
    ```console exact       and the output must be as shown, line for line
    ```console no-run      is only shown
    <!-- file: x.yaml -->  above a block of any language: its text is that file from the start of the story
"""

import ast
import asyncio
import inspect
import os
import re
import subprocess
import sys
import types
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [path for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))] if path.exists()]
SECONDS_FOR_ONE_COMMAND = 60
FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<info>[^`]*)$")
LINK = re.compile(r"""\]\(([^)\s]+)[^)]*\)|(?:src|href)="([^"]+)"|^\[[^\]]+\]:\s*(\S+)""", re.MULTILINE)
FILE = re.compile(r"^ *<!-- file: (?P<name>\S+) -->$")


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    line: int
    """Line of the first line inside the fence, from 1."""
    info: tuple[str, ...]
    """Words after the fence: language, then options."""
    text: str
    file: str | None
    """Name in the comment above, if there is one."""

    @property
    def language(self):
        return self.info[0] if self.info else ""


def blocks_of(page):
    """The fenced blocks of a page's text, in order."""
    blocks, lines, at, file = [], page.splitlines(), 0, None
    while at < len(lines):
        opening = FENCE.match(lines[at])
        if opening:
            start, indent = at + 1, len(opening["indent"])
            at = start
            while at < len(lines) and lines[at].strip() != opening["fence"]:
                at += 1
            body = [line[indent:] if line[:indent].isspace() else line for line in lines[start:at]]
            blocks.append(Block(start + 1, tuple(opening["info"].split()), "\n".join(body) + "\n", file))
        if opening or lines[at].strip():  # blank lines may stand between the comment and its block
            named = FILE.match(lines[at]) if at < len(lines) else None
            file = named["name"] if named else None
        at += 1
    return blocks


def run_page(path, folder, monkeypatch):
    """Run all blocks of the page at `path` inside the empty `folder`."""
    blocks = blocks_of(path.read_text("utf-8"))
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    story = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", story)  # so that types in annotations are found
    for block in reversed(blocks):  # of two texts for one file the first holds until the second is reached
        write_file(block, folder)
    with asyncio.Runner() as runner:
        for block in blocks:
            write_file(block, folder)
            if block.language == "python":
                run_python(block, path, story, runner)
            elif block.language == "console" and "no-run" not in block.info:
                run_console(block, path)


def write_file(block, folder):
    if block.file is None:
        return
    target = (folder / block.file).resolve()
    assert target.is_relative_to(folder.resolve()), f"{block.file} is outside the page's folder"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(block.text, "utf-8")


def run_python(block, path, story, runner):
    padded = "\n" * (block.line - 1) + block.text  # so that tracebacks show the page's own lines
    code = compile(padded, str(path), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if "no-run" in block.info:
        return
    result = eval(code, story.__dict__)
    if code.co_flags & inspect.CO_COROUTINE:
        runner.run(result)


def run_console(block, path):
    expected_exits = [int(word.removeprefix("exit=")) for word in block.info if word.startswith("exit=")]
    commands = commands_of(block.text)
    for number, (command, shown) in enumerate(commands, start=1):
        done = subprocess.run(
            command,
            shell=True,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS_FOR_ONE_COMMAND,
            env=environment(),
        )
        expected = expected_exits[0] if expected_exits and number == len(commands) else 0
        where = f"{path.name}:{block.line}: $ {command}\n{done.stdout}"
        assert done.returncode == expected, f"left with {done.returncode}, not {expected}: {where}"
        if "exact" in block.info:
            assert done.stdout.rstrip().splitlines() == shown, where


def commands_of(text):
    """[(command, lines shown below it)] of the `$ dagger …` lines; other programs' lines are left out."""
    commands, shown = [], []
    lines = iter(text.rstrip().splitlines())
    for line in lines:
        if not line.startswith("$ "):
            shown.append(line)
            continue
        command, shown = line.removeprefix("$ "), []
        while command.endswith("\\"):
            command = command[:-1] + next(lines).strip()
        if command.split()[0] == "dagger":
            commands.append((command, shown))
    return commands


def environment():
    """This interpreter's `dagger` first on the PATH; plain text of one width."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return os.environ | {"PATH": path, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "100"}


@pytest.mark.parametrize("path", PAGES, ids=[path.relative_to(ROOT).as_posix() for path in PAGES])
def test_every_snippet_of_the_page_works(path, tmp_path, monkeypatch):
    """What a page shows, a reader can type."""
    run_page(path, tmp_path, monkeypatch)


def dead_links(path):
    """The relative links of the page at `path`, outside its blocks, that lead to no file."""
    text = path.read_text("utf-8")
    for block in blocks_of(text):
        text = text.replace(block.text, "\n")
    targets = [next(filter(None, found)).split("#")[0] for found in LINK.findall(text)]
    return [target for target in targets if target and ":" not in target and not (path.parent / target).exists()]


@pytest.mark.parametrize("path", PAGES, ids=[path.relative_to(ROOT).as_posix() for path in PAGES])
def test_every_relative_link_of_the_page_leads_to_a_file(path):
    """A reader can click all of them."""
    assert dead_links(path) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path):
    """In text, as a picture, or in HTML; not in blocks, not on the web, and not within the page."""
    page = tmp_path / "page.md"
    (tmp_path / "there.md").touch()
    page.write_text(
        "[a](there.md) [b](there.md#part) [c](#part) [d](https://example.org/no.md) [e](no1.md)\n"
        '![f](no2.svg "title") <img src="no3.svg"> <a href="mailto:x@example.org">\n[g]: no4.md\n'
        "```python\nx[0](no5.md)\n```\n"
    )
    assert dead_links(page) == ["no1.md", "no2.svg", "no3.svg", "no4.md"]


@pytest.fixture
def tell(tmp_path, monkeypatch):
    """Run a page with this text; its `dagger` prints its first argument and leaves with its second."""
    program = tmp_path / "bin" / "dagger"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$1"\nexit ${2:-0}\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))

    def run(text):
        page, folder = tmp_path / "page.md", tmp_path / "folder"
        page.write_text(text, "utf-8")
        folder.mkdir()
        run_page(page, folder, monkeypatch)

    return run


STORY = """
```python
from pathlib import Path
text = Path("a/pipeline.yaml").read_text()
```

<!-- file: a/pipeline.yaml -->

```yaml
name: demo
```

1. inside a list:

   ```python
   import asyncio
   assert text == "name: demo\\n"
   await asyncio.sleep(0)
   if __name__ == "__main__":
       Path("ran").touch()
   ```

```python no-run
raise RuntimeError
```

~~~markdown
```python
raise RuntimeError
```
~~~
"""


def test_blocks_share_names_files_and_one_loop(tell, tmp_path):
    """A page is one story: files first, then block after block."""
    tell(STORY)
    assert (tmp_path / "folder" / "ran").exists()


def test_a_failing_snippet_names_the_line_of_the_page(tell):
    """The traceback points into the page."""
    with pytest.raises(ZeroDivisionError) as caught:
        tell("# Title\n\n```python\nx = 0\n1 / x\n```\n")
    assert caught.traceback[-1].lineno + 1 == 5


def test_a_snippet_that_is_not_run_must_still_compile(tell):
    """`no-run` hides no typing errors."""
    with pytest.raises(SyntaxError):
        tell("```python no-run\nx = = 1\n```\n")


def test_a_file_outside_the_folder_is_refused(tell):
    """A page writes only into its own folder."""
    with pytest.raises(AssertionError, match="outside the page's folder"):
        tell("<!-- file: ../x.yaml -->\n```yaml\na: 1\n```\n")


def test_only_dagger_commands_are_run(tell):
    """Lines of other programs, continued lines and a last exit code are understood."""
    tell("```console exit=3\n$ pip install nothing-of-the-kind\n$ dagger one\nany\n$ dagger \\\n  two 3\n```\n")


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        ("```console\n$ dagger one 3\n```\n", r"left with 3, not 0: page\.md:2: \$ dagger one 3"),
        ("```console exit=3\n$ dagger one\n```\n", "left with 0, not 3"),
        ("```console exit=3\n$ dagger one 3\n$ dagger two 3\n```\n", "left with 3, not 0"),
        ("```console exact\n$ dagger one\ntwo\n```\n", "one"),
    ],
)
def test_a_command_that_does_otherwise_than_shown_fails(tell, block, complaint):
    """A wrong exit code, or wrong output under `exact`, names the command and shows what it printed."""
    with pytest.raises(AssertionError, match=complaint):
        tell(block)


def test_exact_output_is_accepted(tell):
    """`exact` compares the lines below each command."""
    tell("```console exact\n$ dagger one\none\n$ dagger two\ntwo\n```\n")
