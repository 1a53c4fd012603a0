"""Whatever the file holds, reading it gives settings or a SettingsError."""

from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml.compat import StringIO
from ruamel.yaml.main import YAML

from console.settings import Settings, parse_settings
from console.settings_errors import SettingsError
from console.settings_sources import Sources

VOCABULARY = r"""
    prices gpu tokens model usd_per_hour from budgets name match team stream allowed_lateness detection idle after
    channels type slack recorder email terminal token token_file to routes default_route digest at day scale_down mode
    auto selector target url store kafka topics security console host port log level severity page_usd
    ${env:X} ${file:y} ${ {} [] [ ] { } : - , & * ! | > % @ # ? &a *a << ~ null true 1 -1 1.5 1e999 .inf .nan 0x1F 0o7
    2026-01-01 09:00 30m 2h "x" 'y' !!int !!binary --- ... severity=page team=~( \U00110000
"""
WORDS = st.sampled_from(VOCABULARY.split())
PIECES = st.one_of(WORDS, st.sampled_from(["\n", "\n  ", "\n- ", ": ", ", ", " "]), st.text(max_size=3))
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), WORDS.map(str.strip), st.text(max_size=5), st.dates()
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from([*Settings.model_fields, "type", "name"]), inner, max_size=4),
    ),
    max_leaves=15,
)


def read(text: str) -> None:
    """Either settings come of it, or a report that names at least one fault; anything else is raised."""
    read_as, refused = None, None
    try:
        read_as = parse_settings(text, "c.yaml", Sources(environ={"X": "x"}))
    except SettingsError as error:
        refused = error
    if refused is None:
        assert isinstance(read_as, Settings)
    else:
        assert refused.problems
        assert all(problem.got and problem.meant for problem in refused.problems)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(PIECES, max_size=25).map("".join))
@example('a: "\\UFFFFFFFF"')
@example("%YAML 9.9\n---\na: 1")
@example("%TAG ! x\n--- !y z")
@example("? a\n? a")
@example("prices: &a {gpu: *a}")
@example("log: {level: *nobody}")
@example("{: x}")
@example("x: 1" + "0" * 5000)
@example("stream: {horizon_hours: 1" + "0" * 4000 + "}")
@example("prices: {gpu: [{usd_per_hour: 1e9999999999999999999}]}")
@example("severity: {page_usd: 0x" + "f" * 4000 + "}")
@example("a: 1\n---\nb: 2")
@example("\0")
@example("[" * 3000 + "]" * 3000)
def test_text_that_looks_like_yaml(text: str):
    read(text)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.dictionaries(st.sampled_from(list(Settings.model_fields)), TREES, max_size=4))
def test_yaml_of_another_shape(tree: dict[str, object]):
    out = StringIO()
    YAML(typ="safe", pure=True).dump(tree, out)

    read(out.getvalue())
