"""What there is, is in the manuals, and what is in the manuals, is there: options, commands, counters, metrics, keys."""

import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from control import result
from netsite import SERVER4, VIP6, build_dir

ROOT = Path(__file__).resolve().parents[2]
GATEWAY = ROOT / "gateway"
NAME = r"[a-z][a-z0-9_-]*"
METRICS = 9166
# Where keys are names of something else, which has its own list.
OPEN_OBJECTS = ("counters", "ended", "control")


def manual(name):
    return (GATEWAY / name).read_text()


def section(text, title):
    match = re.search(rf"^\.S[hs] {re.escape(title)}$(.*?)(?=^\.Sh |\Z)", text, re.MULTILINE | re.DOTALL)
    assert match, f"no section {title}"
    return match[1].replace("\\\n", " ")


def quoted(text):
    """The words that stand alone in quotation marks."""
    return set(re.findall(rf"^\.Ql ({NAME})(?: |$)", text, re.MULTILINE))


def item_names(line):
    """The options that an .It line of sixgated.conf(5) is about."""
    line = re.sub(r"\b(?:Qq|Li) .*", "", line)
    return re.findall(NAME, line.removeprefix(".It Ic "))


# ---- the code ----

def test_modules():
    """Each module is named in ARCHITECTURE.md, and what is named there is there."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    words = set(re.findall(r"[a-z0-9_]+", text))
    modules = {path.stem for path in GATEWAY.glob("*.[ch]")}
    # Parts of one thing, which are named together.
    families = re.compile(r"(ctl|doctor|page)_\w+")
    assert {name for name in modules - words if not families.fullmatch(name)} == set()
    folders = "gateway", "netlink", "proxyhdr"
    code = "\n".join(path.read_text() for folder in folders for path in (ROOT / folder).glob("*.[ch]"))
    names = set(re.findall(r"`([a-z0-9]+_[a-z0-9_]+)`", text))
    assert {name for name in names if not re.search(rf"\b{name}\b", code)} - modules == set()
    files = set(re.findall(r"`([a-z0-9_]+\.(?:[ch]|py|[58]))`", text))
    assert len(files) > 40
    assert {name for name in files if not list(ROOT.glob(f"[a-z]*/{name}")) + list(ROOT.glob(f"tests/*/{name}"))} == set()


# ---- options ----

def test_options():
    """Each option of each section has an item, and no item is about anything else."""
    source = (GATEWAY / "config_tree.c").read_text()
    limits = re.search(r"#define LIMITS (.*?[^\\])\n", source, re.DOTALL)[1]
    tables = [table.replace("LIMITS,", limits)
              for table in re.findall(r"cfg_opt_t \w+_opts\[\] = \{(.*?)\n\};", source, re.DOTALL)]
    schema = Counter(name for table in tables for name in re.findall(r'TEXTS?\("([^"]+)"', table))
    sections = {name for table in tables for name in re.findall(r'(?:SECTION|TITLED)\("([^"]+)"', table)}
    assert schema["bind"] == 1 and schema["max"] == 3 and {"pool", "connections"} <= sections
    text = manual("sixgated.conf.5")
    items = Counter(name for line in re.findall(r"^\.It Ic .*", text, re.MULTILINE) for name in item_names(line))
    # "custom" has its only option in the same item.
    items["value"] += len(re.findall(r"^\.It Ic custom .*\bIc value\b", text, re.MULTILINE))
    assert {name: n for name, n in schema.items() if items[name] < n} == {}
    assert set(items) - set(schema) - sections == set()
    assert {name for name in sections if not re.search(rf"^\.(It )?Ic {name}\b", text, re.MULTILINE)} == set()


def commented_in(text):
    """The shipped configuration with every alternative in place of what it is one for."""
    lines, chosen = [], set()
    for line in reversed(text.splitlines()):
        alternative = re.fullmatch(r"( *)#((?: {4})?[a-z}].*)", line)
        line = alternative[1] + alternative[2] if alternative else line
        option = re.match(rf"\s*({NAME})\s*= ", line)
        if option and not alternative and option[1] in chosen:
            continue
        if option and alternative:
            chosen.add(option[1])
        lines.append(line)
    return "\n".join(reversed(lines)) + "\n"


def check(path):
    return subprocess.run([build_dir() / "sixgated", "--check", path], capture_output=True, text=True, check=False)


def test_shipped_configuration(tmp_path):
    text = (ROOT / "debian" / "sixgated.conf").read_text()
    every = commented_in(text)
    assert every.count("\n#network") == 0 and "\nnetwork {" in every and "\ndrain = " in every
    for name, content in ("as-it-is", text), ("commented-in", every):
        path = tmp_path / name
        path.write_text(content)
        assert check(path).stdout == f"{path}: ok\n", check(path).stderr


def examples():
    """Blocks of configuration in README and manual."""
    blocks = re.findall(r"^```\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    blocks += re.findall(r"^\.Bd -literal[^\n]*\n(.*?)^\.Ed$", manual("sixgated.conf.5"), re.MULTILINE | re.DOTALL)
    return [block for block in blocks if re.search(r'^(listener|pool|network|who|metrics|hold) ["{]', block, re.MULTILINE)]


def test_examples(tmp_path):
    """With the pools that they speak of, and something to do, each is a configuration."""
    found = examples()
    assert len(found) >= 10
    denied = tmp_path / "denied"
    denied.touch()
    for number, block in enumerate(found):
        text = block.replace("...", "").replace("/etc/sixgate/denied", str(denied))
        pools = set(re.findall(r'pool += "(\w+)"', text)) - set(re.findall(r'^pool "(\w+)"', text, re.MULTILINE))
        text += "".join(f'pool "{pool}" {{ backend "192.0.2.10:80" {{}} }}\n' for pool in sorted(pools))
        if 'listener "' not in text:
            text += 'listener "added" { bind = "[::1]:80" pool = "added" }\n'
            text += 'pool "added" { backend "192.0.2.10:80" {} }\n'
        path = tmp_path / f"example-{number}"
        path.write_text(text)
        answer = check(path)
        assert answer.returncode == 0, f"{answer.stderr}\n{text}"


def test_unit():
    """Doctor starts the unit that the package has."""
    code = (GATEWAY / "doctor_facts.c").read_text()
    units = set(re.findall(r"system/([a-z]+\.service)", code))
    assert units == {path.name for path in (ROOT / "debian").glob("*.service")}
    assert [f"{name}.service" for name in re.findall(r"systemctl start (\w+)", code)] == sorted(units)


# ---- a gateway that runs ----

@pytest.fixture
def running(site, gateway):
    """All kinds of objects that status and metrics have."""
    gateway(config=f"""run-directory = "{site.dir}/run"
        workers = 1
        access-log = off
        metrics {{}}
        listener "web" {{ bind = "[{VIP6}]:7000" pool = "web" connections {{ max = 10 }} }}
        pool "web" {{ backend "{SERVER4}:7000" {{}}  check {{ type = tcp }} }}
    """)
    return site


def keys(value):
    """All keys of objects in it, but for those that are names of something."""
    if isinstance(value, list):
        return {key for item in value for key in keys(item)}
    if not isinstance(value, dict):
        return set()
    return set(value) | {inner for key, item in value.items() if key not in OPEN_OBJECTS for inner in keys(item)}


def test_commands(running):
    """What the gateway can be asked is in the manual, and sixgatectl asks it with the same arguments."""
    text = manual("sixgatectl.8")
    usage = subprocess.run([build_dir() / "sixgatectl", "--help"], capture_output=True, text=True, check=True).stdout
    unasked = {"commands", "generation"}  # for programs, see CONTROL PROTOCOL and JSON
    commands = {command["name"]: command for command in result(running, "commands")["commands"]}
    assert {"status", "ban", "set-weight"} <= set(commands)
    for name, command in commands.items():
        written = name if name in ("kill-flow", "log-level", "reload-lists") else name.replace("-", " ", 1)
        mentioned = re.search(rf"^\.(?:It )?(?:Cm|Ic|Ql) (?:.*, )?{written}\b", text, re.MULTILINE)
        assert mentioned, f"{name} is not in sixgatectl(8)"
        if name in unasked:
            continue
        assert re.search(rf"\b{written}\b", usage), f"{name} is not in --help"
        for arg in command["args"]:
            option = f"--{arg['name']}" in usage
            positional = re.search(rf"\b{written} .*[A-Z]{{4}}", usage) or re.search(rf"\b{written} \[", usage)
            assert option or positional, f"{name} does not take {arg['name']}"


def test_options_of_sixgatectl():
    usage = subprocess.run([build_dir() / "sixgatectl", "--help"], capture_output=True, text=True, check=True).stdout
    in_usage = set(re.findall(r"--([a-z-]+)", usage))
    text = manual("sixgatectl.8")
    in_items = set(re.findall(r"\bFl -([a-z-]+)", "\n".join(re.findall(r"^\.It .*", text, re.MULTILINE))))
    assert in_usage - in_items - {"for", "reason", "deadline", "binary"} == set()
    assert set(re.findall(r"\bFl -([a-z-]+)", text)) == in_usage


def test_counters(running):
    """Those of status are in COUNTERS of sixgated(8), and no other is there that no code has."""
    status = result(running, "status")
    counters = set(status["counters"]) | {f"control_{name}" for name in status["control"]}
    lines = re.findall(r"^\.It (.*)$", section(manual("sixgated.8"), "COUNTERS"), re.MULTILINE)
    documented = [name for line in lines for name in re.findall(r"[a-z0-9_]+", line)]
    assert len(documented) == len(set(documented)) and "accepted" in documented
    assert counters - set(documented) == set()
    code = "\n".join(path.read_text() for path in GATEWAY.glob("*.c"))
    rest = set(documented) - counters
    assert {name for name in rest if not re.search(rf'["( {{]{name}\b', code)} == set()


def test_keys_of_status(running):
    text = section(manual("sixgatectl.8"), "JSON")
    status = re.search(r"^\.It Cm status$(.*?)^\.It ", text, re.MULTILINE | re.DOTALL)[1]
    there = keys(result(running, "status"))
    assert there - quoted(status) == set()
    assert quoted(status) - there == set()


def test_metrics(running):
    """Each family is in METRICS, or is a counter under its own name; and each of METRICS is there."""
    text = section(manual("sixgated.conf.5"), "METRICS")
    documented = {name.removeprefix("sixgate_") for name in quoted(text)} - {"", "_total", "sixgatectl"}
    page = running.gateway.run(["curl", "-s", f"http://[::1]:{METRICS}/metrics"]).stdout
    there = {name.removeprefix("sixgate_") for name in re.findall(r"^# TYPE (\w+) ", page, re.MULTILINE)}
    counters = set(result(running, "status")["counters"])
    own = {name for name in there if name.removesuffix("_total") in counters}
    control = {name for name in there if name.startswith("control_")}
    assert len(there) > 30 and len(control) > 3
    assert there - documented - own - control == set()
    assert documented - there == set()
