"""The digest as the HTML part of a mail: tables and inline styles, no image and nothing fetched; escaped throughout."""

from functools import cache

from jinja2 import Environment, StrictUndefined, Template

from alerts import digest_words as words
from alerts.digest import Digest
from alerts.digest_sections import sections

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark; supported-color-schemes: light dark; }
@media (prefers-color-scheme: dark) {
  .page, .card { background: #16181d !important; color: #e8e8ea !important; }
  .name, .quiet { color: #a9adb6 !important; }
  .row { border-color: #33363d !important; }
}
</style>
</head>
<body class="page" style="margin:0;padding:0;background:#ffffff;color:#1d1f24;">
<table role="presentation" class="page" width="100%" cellpadding="0" cellspacing="0" border="0" \
style="background:#ffffff;color:#1d1f24;">
<tr><td align="center" style="padding:24px 12px;">
<table role="presentation" class="card" width="640" cellpadding="0" cellspacing="0" border="0" \
style="width:100%;max-width:640px;font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;\
font-size:14px;line-height:20px;">
<tr><td colspan="2">
<h1 style="margin:0;font-size:20px;line-height:28px;">{{ title }}</h1>
<p class="quiet" style="margin:4px 0 0;color:#5c616b;">{{ period }}</p>
</td></tr>
{% for section in sections %}
<tr><td colspan="2"><h2 style="margin:24px 0 4px;font-size:15px;line-height:20px;">{{ section.heading }}</h2></td></tr>
{% for name, said in section.rows %}
<tr>
{% if name %}
<td class="row name" valign="top" width="40%" style="padding:4px 12px 4px 0;border-top:1px solid #e3e5e8;\
color:#5c616b;word-break:break-word;">{{ name }}</td>
<td class="row" valign="top" style="padding:4px 0;border-top:1px solid #e3e5e8;">{{ said }}</td>
{% else %}
<td class="row" colspan="2" valign="top" style="padding:4px 0;border-top:1px solid #e3e5e8;">{{ said }}</td>
{% endif %}
</tr>
{% endfor %}
{% endfor %}
</table>
</td></tr>
</table>
</body>
</html>
"""


def html(digest: Digest) -> str:
    """A whole page below 80 kB, so that mail programs show all of it."""
    return _template().render(title=digest.title, period=words.period(digest.week), sections=sections(digest))


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_PAGE)
