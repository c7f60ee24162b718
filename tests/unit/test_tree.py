# SPDX-License-Identifier: LGPL-2.1-or-later
"""The source tree keeps its own promises: licences, documents that name what there is."""

import re
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    path for path in TOP.rglob("*")
    if path.is_file() and (path.suffix in (".c", ".h", ".py") or path.name in ("meson.build", "run", "install-packages"))
    and not any(part.startswith(("build", "obj-", ".git", "__pycache__")) for part in path.relative_to(TOP).parts))


def test_sources_were_found():
    assert len(SOURCES) > 50


def test_every_source_says_its_licence():
    without = [str(path.relative_to(TOP)) for path in SOURCES
               if "SPDX-License-Identifier: LGPL-2.1-or-later" not in path.read_text(encoding="utf-8")[:200]]
    assert without == []


def test_nothing_is_left_for_later():
    words = re.compile(r"\b(TO" r"DO|FIX" r"ME)\b")
    found = [f"{path.relative_to(TOP)}:{number}" for path in SOURCES if "runner" not in path.name  # which reads TAP, and TAP has the word
             for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1) if words.search(line)]
    assert found == []


@pytest.mark.parametrize("source", ["device.c", "pair.c", "application.c"])
def test_every_setting_is_documented(source):
    text = (TOP / "settings" / source).read_text(encoding="utf-8")
    table = text[text.index("static const ScannerRule rules[]"):]
    table = table[:table.index("};")]
    words = re.findall(r'"([a-z-]+)"', table)
    assert words
    document = (TOP / "docs" / "settings.md").read_text(encoding="utf-8")
    assert [word for word in words if f"`{word}`" not in document and f"`[{word}" not in document] == []


def test_every_command_is_documented():
    commands = re.findall(r'^\t\{ "([a-z]+)",.*ctl_\1 \},$', (TOP / "ctl" / "main.c").read_text(encoding="utf-8"), re.M)
    assert len(commands) >= 8
    page = (TOP / "data" / "understudy.1").read_text(encoding="utf-8")
    assert [command for command in commands if f".It Cm {command}" not in page] == []


def test_every_interface_is_built_in():
    listed = set(re.findall(r"interfaces/(org\.understudy\.\w+\.xml)", (TOP / "dbus" / "meson.build").read_text(encoding="utf-8")))
    assert listed == {path.name for path in (TOP / "dbus" / "interfaces").glob("*.xml")}


def test_package_has_the_projects_version():
    (version,) = re.findall(r"version: '([^']+)',\n +license", (TOP / "meson.build").read_text(encoding="utf-8"))
    assert (TOP / "debian" / "changelog").read_text(encoding="utf-8").startswith(f"understudy ({version}) ")


def test_package_needs_what_the_list_of_packages_says():
    """data/packages.txt is the one list; a package's control file cannot read it."""
    listed = {}
    for line in (TOP / "data" / "packages.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            listed.setdefault(line.split()[0], set()).add(line.split()[1])
    control = (TOP / "debian" / "control").read_text(encoding="utf-8")
    built_with, runs_with = ({re.split(r"[ ,:|]", line.strip())[0] for line in re.search(rf"^{field}:\n((?: .+\n)+)", control, re.M)[1].splitlines()}
                             for field in ("Build-Depends", "Depends"))
    assert listed["build"] - {"gcc", "libc6-dev", "ninja-build"} - built_with == set()  # those come with build-essential and meson
    assert built_with - {"debhelper-compat", "python3"} - listed["build"] == set()
    explicit = {name for name in runs_with if not name.startswith("$")} - {"systemd", "default-dbus-system-bus"}
    assert explicit | {"dbus", "iproute2", "nftables"} == listed["run"]  # the last two for people who look round


def test_links_between_documents_lead_somewhere():
    broken = []
    for page in [*TOP.glob("*.md"), *TOP.glob("docs/*.md"), *TOP.glob("*/README.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            if not (page.parent / target).exists():
                broken.append(f"{page.relative_to(TOP)}: {target}")
    assert broken == []
