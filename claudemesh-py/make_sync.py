"""Makes the package `claudemesh.sync` of the modules for asyncio, so that both have the same calls.

Run it after changing one of them: `python3 make_sync.py`. With `--check` it only says whether it has to be run.

`await` goes; a call of the Rust module is waited for instead. Names of asynchronous protocols become those of plain
ones. What stands between the lines `# async only` and `# end` is left out.
"""

import io
import re
import sys
import tokenize
from pathlib import Path

PACKAGE = Path(__file__).parent / "python" / "claudemesh"
MODULES = ("_broker", "_mesh", "_message", "_opening", "_shared", "_stream", "_topic")
HEAD = "# Made by make_sync.py; changes belong into {name}.py of the package above.\n"
NAMES = {
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "StopAsyncIteration": "StopIteration",
}
# Whatever begins like this is made in Rust.
NATIVE = re.compile(r"(self\._(handle|stream|call)|_native)\b")


def made(source: str) -> str:
    source = re.sub(r"^ *# async only\n.*?^ *# end\n", "", source, flags=re.S | re.M)
    # The ways to a mesh give it at once.
    source = source.replace("-> Opening:", "-> Mesh:").replace("return Opening(", "return (")
    source = re.sub(r"^from \. import (.*)$", r"from .. import \1", source, flags=re.M)
    source = re.sub(r"^from \.(_record|_types|_errors|api) import", r"from ..\1 import", source, flags=re.M)
    lines = source.splitlines(keepends=True)
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    edits: list[tuple[int, int, int, str]] = []
    for at, token in enumerate(tokens):
        row, column = token.start
        if token.type != tokenize.NAME:
            continue
        if token.string in NAMES:
            edits.append((row, column, len(token.string), NAMES[token.string]))
        if token.string in ("async", "await"):
            edits.append((row, column, len(token.string) + 1, ""))
        if token.string == "await" and NATIVE.match(lines[row - 1], tokens[at + 1].start[1]):
            end_row, end_column = end_of_call(tokens, at + 1)
            edits.append((end_row, end_column, 0, ".wait()"))
    for row, column, length, text in sorted(edits, reverse=True):
        line = lines[row - 1]
        lines[row - 1] = line[:column] + text + line[column + length :]
    return "".join(lines)


def end_of_call(tokens: list[tokenize.TokenInfo], at: int) -> tuple[int, int]:
    """Where the call ends that begins here: after its last bracket."""
    depth = 0
    for token in tokens[at:]:
        if token.string in "([{" and token.type == tokenize.OP:
            depth += 1
        elif token.string in ")]}" and token.type == tokenize.OP:
            depth -= 1
            if depth == 0:
                return token.end
    raise ValueError(f"no call stands at {tokens[at].start}")


def main() -> int:
    stale = []
    for name in MODULES:
        text = HEAD.format(name=name) + made((PACKAGE / f"{name}.py").read_text())
        target = PACKAGE / "sync" / f"{name}.py"
        if "--check" in sys.argv[1:]:
            if not target.exists() or target.read_text() != text:
                stale.append(name)
        else:
            target.write_text(text)
    if stale:
        print(f"run python3 make_sync.py: {', '.join(stale)} changed", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
