"""Results as JUnit XML, for what shows test reports."""

import re
from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element, SubElement, tostring

from console.rules.run import Result

UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(results: Mapping[str, Sequence[Result]]) -> bytes:
    """A document with a suite for each file."""
    root = Element("testsuites")
    for name, tests in results.items():
        failed = sum(bool(test.faults) for test in tests)
        suite = SubElement(
            root, "testsuite", name=_clean(name), tests=str(len(tests)), failures=str(failed), errors="0"
        )
        for test in tests:
            case = SubElement(suite, "testcase", classname=_clean(name), name=_clean(test.name))
            if test.faults:
                failure = SubElement(case, "failure", message="not as expected")
                failure.text = _clean("\n".join(test.faults))
    return bytes(tostring(root, encoding="utf-8", xml_declaration=True))


def _clean(text: str) -> str:
    """Without what XML can't hold."""
    return UNPRINTABLE.sub("?", text)
