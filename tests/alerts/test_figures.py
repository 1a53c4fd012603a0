import pytest

from alerts.figures import change, usd


@pytest.mark.parametrize(
    ("amount_usd", "words"),
    [
        (0.0, "$0.00"),
        (-0.001, "$0.00"),
        (0.425, "$0.42"),
        (99.994, "$99.99"),
        (99.996, "$100"),
        (1234.5, "$1,234"),
        (-5.0, "-$5.00"),
    ],
)
def test_dollars_have_cents_only_where_cents_matter(amount_usd, words):
    assert usd(amount_usd) == words


@pytest.mark.parametrize(("ratio", "words"), [(0.08, "+8 %"), (-0.125, "-12 %"), (0.0, "+0 %"), (None, "new")])
def test_a_change_has_a_sign(ratio, words):
    assert change(ratio) == words
