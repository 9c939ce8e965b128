"""Names resolve late, a wrong name gets the nearest one, and a broken plugin bricks nothing."""

import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint

import pytest

from eden_bench import registry
from eden_bench.errors import PluginError, UsageError
from eden_bench.registry import Registry


@dataclass(frozen=True)
class Thing:
    name: str
    kind: str = "segmentation"
    groups: tuple[str, ...] = ()


@pytest.fixture
def offered(monkeypatch, tmp_path):
    """A registry over a package written to disk, and the lines it warned."""

    def build(files, *, point="plug = plug", file_is_name=True):
        package = tmp_path / "plug"
        package.mkdir()
        (package / "__init__.py").write_text("")
        for name, text in files.items():
            (package / name).write_text(text)
        monkeypatch.syspath_prepend(str(tmp_path))
        name, _, value = point.partition(" = ")
        points = [EntryPoint(name, value, "eden_bench.methods")]
        monkeypatch.setattr(registry, "installed", lambda group: points)
        lines = []
        made = Registry("method", file_is_name=file_is_name, warn=lines.append)
        monkeypatch.setattr(registry, "methods", made)
        return made, lines

    yield build
    for module in [m for m in sys.modules if m == "plug" or m.startswith("plug.")]:
        del sys.modules[module]


GOOD = '''"""A good one.

More.
"""
from eden_bench import registry

class Good: pass

registry.methods.register("{name}", Good)
'''


def good(name):
    return GOOD.replace("{name}", name)


def test_the_folder_is_the_list_and_listing_imports_nothing(offered):
    made, _ = offered({"dense_cl.py": good("dense-cl"), "boom.py": "raise RuntimeError", "_shared.py": ""})
    assert made.names() == ["boom", "dense-cl"]
    assert made.summary("dense-cl") == "A good one."
    assert "plug.dense_cl" not in sys.modules


def test_getting_a_name_imports_its_module(offered):
    made, lines = offered({"dense_cl.py": good("dense-cl")})
    assert made.get("dense-cl").__name__ == "Good"
    assert lines == []


def test_an_entry_point_may_name_one_module(offered):
    made, _ = offered({"anything.py": good("mine")}, point="mine = plug.anything")
    assert made.names() == ["mine"]
    assert made.get("mine").__name__ == "Good"


@pytest.mark.parametrize(
    "text", ["raise RuntimeError('no')", "import nowhere_to_be_found", "import sys; sys.exit(3)", "def ("]
)
def test_a_broken_plugin_is_one_warning_line_and_the_rest_works(offered, text):
    made, lines = offered({"bad.py": text, "fine.py": good("fine")})
    made.load_all()
    assert made.get("fine").__name__ == "Good"
    assert len(lines) == 1
    assert "plug = plug.bad is left out" in lines[0]
    assert "\n" not in lines[0]
    with pytest.raises(PluginError, match="method 'bad' cannot be loaded"):
        made.get("bad")


def test_a_missing_module_is_one_warning_line(offered):
    made, lines = offered({}, point="gone = nowhere_to_be_found")
    assert made.names() == []
    reason = "ImportError: no module named 'nowhere_to_be_found'"
    assert lines == [f"plugin unknown distribution: gone = nowhere_to_be_found is left out: {reason}"]


def test_a_name_defined_twice_shows_both_places(tmp_path):
    made = Registry("task")
    first = made.register("a", Thing)
    with pytest.raises(PluginError, match=r"task 'a' is defined twice, in .*Thing and in .*test_registry"):
        made.register("a", type("Other", (), {"__module__": __name__}))
    assert made.register("a", first) is first


def filled():
    made = Registry("task")
    for name in ("scr-heart", "scr-clavicle"):
        made.register(name, Thing(name, groups=("organs",)))
    made.register("nih", Thing("nih", kind="classification"))
    made._sources = []
    return made


@pytest.mark.parametrize(
    ("patterns", "chosen"),
    [
        (["scr-heart,nih"], ["scr-heart", "nih"]),
        (["nih", "scr-*"], ["nih", "scr-clavicle", "scr-heart"]),
        (["@segmentation"], ["scr-clavicle", "scr-heart"]),
        (["@organs", "nih"], ["scr-clavicle", "scr-heart", "nih"]),
        (["@all"], ["nih", "scr-clavicle", "scr-heart"]),
        (["nih", "@all"], ["nih", "scr-clavicle", "scr-heart"]),
    ],
)
def test_names_globs_and_groups_resolve_in_order_without_repeats(patterns, chosen):
    assert filled().select(patterns) == chosen


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("scr-hart", r"unknown task 'scr-hart'. Did you mean 'scr-heart'\?"),
        ("@segmentaton", r"unknown task '@segmentaton'. Did you mean '@segmentation'\?"),
        ("xyz-*", r"unknown task 'xyz-\*'. .*Known: "),
    ],
)
def test_a_wrong_name_gets_the_nearest_one(pattern, sentence):
    with pytest.raises(UsageError, match=sentence):
        filled().select([pattern])


@dataclass(frozen=True)
class MethodConfigured:
    """Nothing that a source must have."""


EXTRA = """
from dataclasses import dataclass
from eden_bench import register_method

@dataclass(frozen=True)
class EConfig:
    pass

@register_method("extra")
class E:
    Config, card = EConfig, None
    def load_encoder(self, seed): ...
"""


def test_a_decorator_returns_the_type_it_got():
    class Mine:
        Config, card, load_encoder = MethodConfigured, None, None

    assert registry.register_method("test-registry-mine")(Mine) is Mine
    assert registry.methods.get("test-registry-mine") is Mine
    del registry.methods._made["test-registry-mine"]


def test_a_plugin_file_registers(tmp_path):
    path = tmp_path / "extra.py"
    path.write_text(EXTRA)
    registry.load_plugin_file(path)
    assert registry.methods.get("extra").__name__ == "E"
    del registry.methods._made["extra"]


@pytest.mark.parametrize("text", ["raise RuntimeError('no')", "import sys; sys.exit()"])
def test_a_failing_plugin_file_is_one_sentence(tmp_path, text):
    path = tmp_path / "extra.py"
    path.write_text(text)
    with pytest.raises(PluginError, match=r"--plugin .*extra.py: (RuntimeError|SystemExit)"):
        registry.load_plugin_file(path)
    with pytest.raises(PluginError, match="no such file"):
        registry.load_plugin_file(tmp_path / "absent.py")


@pytest.mark.parametrize("text", ["raise RuntimeError('no')", "raise SystemExit(3)", "def ("])
def test_a_package_that_fails_is_one_warning_line(monkeypatch, tmp_path, text):
    (tmp_path / "failing_package").mkdir()
    (tmp_path / "failing_package" / "__init__.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    points = [EntryPoint("bad", "failing_package.methods", "eden_bench.methods")]
    monkeypatch.setattr(registry, "installed", lambda group: points)
    lines = []
    made = Registry("method", file_is_name=True, warn=lines.append)
    assert made.names() == []
    assert [line.count("\n") for line in lines] == [0]
    assert "bad = failing_package.methods is left out: " in lines[0]


def test_the_summary_of_a_broken_plugin_without_docstring_says_so(offered):
    made, _ = offered({"bad.py": "raise RuntimeError('no')", "empty.py": ""})
    assert made.summary("bad") == "cannot be loaded: RuntimeError: no"
    assert made.summary("empty").startswith("cannot be loaded: ")


def test_a_broken_plugin_is_in_no_group(offered):
    made, lines = offered({"bad.py": "raise RuntimeError('no')", "fine.py": good("fine")})
    made.get("fine").groups = ("ours",)
    assert made.select(["@ours"]) == ["fine"]
    assert len(lines) == 1
