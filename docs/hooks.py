"""The pages that MkDocs does not make by itself; ``make docs`` calls it with this file.

Pages link to files as they lie in the repository, so that the links work there as well. Here they
become links between pages: the README is the home page; a notebook is a page of its committed
outputs; a module of the library is a page of its docstrings; any other file is a page that shows
it. Equations become MathML, which browsers draw without scripts, fonts or network. A link to
nothing, a name in a docstring that does not exist, an equation that cannot be read: each is a
warning, which ``mkdocs build --strict`` takes for an error.
"""

import base64
import html
import os
import re
from logging import getLogger
from pathlib import Path
from typing import Any

import griffe
import nbformat
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
LOG = getLogger("mkdocs.plugins.senorita")
FENCES = {".py": "python", ".toml": "toml", ".json": "json", ".yml": "yaml", ".sh": "sh"}
# Code of either kind, which stays as it is; or the target of a link or a picture.
LINK = re.compile(
    r"^(`{3,}).*?^\1|``.*?``|`[^`\n]+`|(\]\(|src=\")([^)\s\"#]*)(?=[#)\"])", re.M | re.S
)


def modules() -> dict[str, list[str]]:
    """Modules with a page, and those of their names that ``senorita_lib`` itself exports."""
    from senorita_lib import _HOME

    roots = {path.stem for path in (ROOT / "senorita_lib").glob("[!_]*.py")}
    return {name: sorted(_HOME.get(name, ())) for name in sorted(roots | set(_HOME))}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Make all pages; what they link to brings more of them."""
    made = {file.src_uri for file in files if not file.is_documentation_page()}
    waiting = {f"docs/{file.src_uri}" for file in files if file.is_documentation_page()}
    waiting |= {"README.md"} | {f"notebooks/{p.name}" for p in ROOT.glob("notebooks/*.ipynb")}
    waiting |= {f"senorita_lib/{name.replace('.', '/')}.py" for name in modules()}
    waiting.add("senorita_lib/__init__.py")
    while waiting:
        home = waiting.pop()
        uri = address(home)
        if uri in made:
            continue
        made.add(uri)
        content: str | bytes
        if uri.endswith(".md"):
            content, linked = with_links(markdown(home, files, config), home, uri)
            waiting |= linked
        else:
            content = (ROOT / home).read_bytes()
        if old := files.get_file_from_path(uri):
            files.remove(old)
        files.append(File.generated(config, uri, content=content))
    return files


def address(home: str) -> str:
    """Where a file of the repository is on the site."""
    path = Path(home)
    name = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
    if name == "senorita_lib":
        return "api/index.md"
    if (module := name.removeprefix("senorita_lib.")) in modules():
        return f"api/{module}.md"
    if path.suffix == ".ipynb":
        return f"notebooks/{path.stem}.md"
    if path.suffix in (".png", ".svg") or (path.suffix == ".md" and path.parts[0] == "docs"):
        return home.removeprefix("docs/")
    return "index.md" if home == "README.md" else f"files/{home.removesuffix('.md').lstrip('.')}.md"


def with_links(text: str, home: str, uri: str) -> tuple[str, set[str]]:
    """A page's text with links between pages, and the files that it links to."""
    linked = set()

    def moved(match: re.Match[str]) -> str:
        before, target = match[2], match[3]
        if not target or ":" in target:  # code, an anchor, another site
            return match[0]
        path = os.path.normpath(os.path.join(os.path.dirname(home), target))
        if not (ROOT / path).exists():
            LOG.warning("%s links to %s, which is not there", home, target)
            return match[0]
        linked.add(path)
        return before + os.path.relpath(address(path), os.path.dirname(uri))

    return LINK.sub(moved, text), linked


def markdown(home: str, files: Files, config: MkDocsConfig) -> str:
    """What a page shows of a file of the repository."""
    path, uri = ROOT / home, address(home)
    if path.suffix == ".ipynb":
        return notebook(path, files, config)
    if uri == "api/index.md":
        return "\n".join(public_names())
    if uri.startswith("api/"):
        name = uri.removeprefix("api/").removesuffix(".md")
        return f"---\ntitle: {name}\n---\n::: senorita_lib.{name}\n"
    if path.is_dir():
        names = sorted(f.name for f in path.iterdir() if f.suffix in {".md", *FENCES})
        return f"# {home}\n\n" + "".join(f"- [{name}]({path.name}/{name})\n" for name in names)
    text = path.read_text("utf-8")
    if path.suffix == ".md":
        text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.S)  # of cards, for other programs
        return "---\nhide: [navigation]\n---\n" + text if uri == "index.md" else text
    return (
        f"---\nsearch:\n  exclude: true\n---\n# {home}\n\n{fenced(text, FENCES.get(path.suffix))}"
    )


def public_names() -> list[str]:
    """The page of the package: its docstring, and a line for each name that it exports."""
    lines = ["# senorita_lib", "", "::: senorita_lib", "    options:", "      members: false"]
    lines += ["      show_root_heading: false", "", "## Public names", ""]
    lines += [
        "`from senorita_lib import …` works for each of these:",
        "",
        "| name | what |",
        "|---|---|",
    ]
    package = griffe.load("senorita_lib", search_paths=[ROOT], try_relative_path=False)
    for module, names in modules().items():
        for name in names:
            found = package[f"{module}.{name}"]
            text = " ".join(told(found).partition("\n\n")[0].split())
            text = Roles.ROLE.sub(lambda m: f"`{m[2].rpartition('.')[2]}`", text)
            lines.append(f"| [`{name}`][{found.canonical_path}] | {text} |")
    return [*lines, ""]


def told(found: griffe.Object | griffe.Alias) -> str:
    """An object's docstring; or the comment behind an attribute, or above a module's constant."""
    if found.docstring or not found.is_attribute or not found.lineno:
        return found.docstring.value if found.docstring else ""
    lines = found.module.lines
    behind = "\n".join(lines[found.lineno - 1 : found.endlineno]).partition("  # ")[2]
    behind = behind.partition("\n")[0].removeprefix("fmt: skip").partition("type: ignore")[0]
    above = []
    if not behind and found.parent and found.parent.is_module:
        for line in reversed(lines[: found.lineno - 1]):
            if not line.startswith("#"):
                break
            above.insert(0, line.lstrip("# "))
    return behind or " ".join(above)


def fenced(text: str, language: str | None = None, title: str = "") -> str:
    """A block of code or output."""
    title = f' title="{title}"' if title else ""
    return f"````{{.{language or 'text'}{title}}}\n{text.rstrip()}\n````\n"


def notebook(path: Path, files: Files, config: MkDocsConfig) -> str:
    """A notebook's committed outputs as Markdown; of a live figure, the picture beside it."""
    parts, pictures = [], 0
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source + "\n")
            continue
        parts.append(fenced(cell.source, "python"))
        for output in cell.outputs:
            data = output.get("data", {})
            if "image/png" in data:
                pictures += 1
                uri = f"notebooks/{path.stem}/{pictures}.png"
                picture = base64.b64decode(data["image/png"])
                files.append(File.generated(config, uri, content=picture))
                told = re.sub(r"([\[\]\\])", r"\\\1", data["text/plain"])
                name = f"picture {pictures}"  # by name, as the file is on the site alone
                parts.append(f"![{told}][{name}]\n\n[{name}]: {path.stem}/{pictures}.png\n")
            elif text := output.get("text") or data.get("text/plain"):
                parts.append(f'<div class="output" markdown>\n\n{fenced(text)}\n</div>\n')
            else:
                LOG.warning("%s has an output of %s, wanted text or a picture", path, set(data))
    return "\n".join(parts)


def on_page_content(text: str, **_: Any) -> str:
    """Equations that Markdown has found become MathML."""

    def drawn(match: re.Match[str]) -> str:
        tex, block = html.unescape(match[2]), match[1] == "["
        try:
            mathml = convert(tex, display="block" if block else "inline")
        except Exception as error:  # its own kinds have no common ancestor
            mathml = f"\\{error}"
        if "\\" in mathml:
            LOG.warning("the equation %s cannot be read", tex)
        return mathml

    return re.sub(r'(?<=class="arithmatex">)\\([(\[])(.*?)\\[)\]](?=</)', drawn, text, flags=re.S)


class Roles(griffe.Extension):
    """Sphinx's ``:func:`name``` in docstrings becomes a link, or code where no page has it."""

    ROLE = re.compile(r":(?:mod|func|class|meth|data|attr):`(~?)([\w.]+)`")

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Of all objects, once all are known."""
        pages = [f"senorita_lib.{name}" for name in modules()]
        waiting: list[griffe.Object] = [pkg]
        everywhere, known = [], {}
        while waiting:
            here = waiting.pop()
            everywhere.append(here)
            known[here.path] = here.path
            for name, member in here.members.items():
                if isinstance(member, griffe.Object):
                    waiting.append(member)
                else:  # imported there
                    known[f"{here.path}.{name}"] = member.target_path

        def link(match: re.Match[str], here: griffe.Object) -> str:
            name = match[2].lstrip(".")
            label = name.rpartition(".")[2] if match[1] else name
            outer = here.path.split(".")
            tried = [".".join([*outer[:end], name]) for end in range(len(outer), -1, -1)]
            found = [known[path] for path in tried if path in known]
            found += [known[path] for path in sorted(known) if path.endswith(f".{name}")]
            if not found:
                LOG.warning("%s: its docstring names %s, which is nowhere", here.path, match[2])
                return f"`{label}`"
            shown = any(found[0] == page or found[0].startswith(f"{page}.") for page in pages)
            return f"[`{label}`][{found[0]}]" if shown else f"`{label}`"

        for here in everywhere:
            if text := told(here):
                text = self.ROLE.sub(lambda match, here=here: link(match, here), text)
                text = re.sub("^::?$", "", re.sub("::$", ":", text, flags=re.M), flags=re.M)
                here.docstring = griffe.Docstring(text, parent=here, parser="numpy")
