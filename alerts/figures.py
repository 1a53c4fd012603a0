"""Dollars and changes as people read them."""


def usd(amount_usd: float) -> str:
    """Cents below 100 dollars, whole dollars above: `$0.42`, `$16.00`, `$1,234`, `-$5.00`."""
    sign = "-" if amount_usd < 0 and round(amount_usd, 2) != 0 else ""
    size = abs(amount_usd)
    return f"{sign}${size:,.0f}" if size >= 99.995 else f"{sign}${size:,.2f}"


def change(ratio: float | None) -> str:
    """A change as a signed percentage: `+8 %`, `-12 %`; `new` where there was nothing before."""
    return "new" if ratio is None else f"{100 * ratio:+,.0f} %"


def shown(name: str, longest: int = 80) -> str:
    """A name that came from outside, on one line, without invisible characters, and cut to a length."""
    line = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"
