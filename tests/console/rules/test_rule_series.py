import pytest

from console.rules.series import SeriesError, values_of


def test_values_in_short_are_what_they_stand_for():
    assert values_of("0.9x3 0 _x2 -1") == [0.9, 0.9, 0.9, 0.0, None, None, -1.0]
    assert values_of("10+5x3 1-0.1x3") == [10.0, 15.0, 20.0, 1.0, 0.9, 0.8]
    assert values_of("0x60") == [0.0] * 60
    assert values_of("40e9") == [4e10]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no values"),
        ("1 two", "'two' is not a value such as 0.9, 0.9x60, 10+5x12 or _x30"),
        ("0.9x", "'0.9x' is not a value"),
        ("_+1x3", "'_+1x3' adds to nothing"),
        ("1x999999999", "more than 1,000,000 values"),
    ],
)
def test_what_is_no_series_is_named(text, said):
    with pytest.raises(SeriesError, match=said.replace("+", r"\+").replace(".", r"\.")):
        values_of(text)
