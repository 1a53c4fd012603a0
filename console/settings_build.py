"""Settings as the values that the floors below work with."""

from msgspec import Struct

from console.settings import Settings
from detectors.budget import Budget
from streams.pricing import GpuPrice, PriceBook, TokenPrice


class Rule(Struct, frozen=True, kw_only=True):
    """An attribution rule: pairs of label and glob that must all match, and the team that owns what does."""

    match: tuple[tuple[str, str], ...]
    team: str


def price_book(settings: Settings) -> PriceBook:
    """The owner's prices, in the order of the file."""
    return PriceBook(
        gpu=tuple(
            GpuPrice(model=row.model, usd_per_hour=row.usd_per_hour, since=row.since) for row in settings.prices.gpu
        ),
        tokens=tuple(
            TokenPrice(
                provider=row.provider,
                model=row.model,
                since=row.since,
                input_usd_per_million=row.input_usd_per_million,
                output_usd_per_million=row.output_usd_per_million,
                cache_read_usd_per_million=row.cache_read_usd_per_million,
                cache_write_usd_per_million=row.cache_write_usd_per_million,
            )
            for row in settings.prices.tokens
        ),
    )


def budgets(settings: Settings) -> tuple[Budget, ...]:
    """The owner's budgets, in the order of the file."""
    return tuple(
        Budget(name=row.name, usd_per_month=float(row.usd_per_month), match=dict(row.match), timezone=row.timezone)
        for row in settings.budgets
    )


def attribution_rules(settings: Settings) -> tuple[Rule, ...]:
    """Who owns what, in the order of the file; the first match wins."""
    return tuple(Rule(match=tuple(row.match.items()), team=row.team) for row in settings.attribution)
