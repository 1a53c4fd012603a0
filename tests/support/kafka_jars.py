"""Apache Kafka itself: its jars, fetched once from Maven Central and kept in `.cache/kafka`."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from tests.support.missing import CannotBeHad

ROOT = Path(__file__).resolve().parents[2]
POM = ROOT / "tests" / "kafka" / "pom.xml"
FETCH_S = 300.0
OLDEST_JAVA = 17


def kafka_version(pom: Path = POM) -> str:
    """Read the pinned version of Kafka from the pom."""
    namespace = {"m": "http://maven.apache.org/POM/4.0.0"}
    found = ElementTree.parse(pom).findtext("m:properties/m:kafka.version", namespaces=namespace)
    if not found:
        raise ValueError(f"{pom.name} has no property kafka.version")
    return found


def java() -> str:
    """Find a Java of version 17 or later. Raises CannotBeHad."""
    homes = [Path(os.environ["JAVA_HOME"]) / "bin" / "java"] if os.environ.get("JAVA_HOME") else []
    on_path = shutil.which("java")
    said = []
    for candidate in [*homes, *([Path(on_path)] if on_path else [])]:
        if not candidate.is_file():
            continue
        asked = subprocess.run([str(candidate), "-version"], capture_output=True, text=True, timeout=30.0)
        version = re.search(r'version "(\d+)', asked.stderr + asked.stdout)
        if version and int(version[1]) >= OLDEST_JAVA:
            return str(candidate)
        said.append(f"{candidate} is {version[1] if version else 'of an unknown version'}")
    raise CannotBeHad(
        f"Kafka needs Java {OLDEST_JAVA} or later; " + ("; ".join(said) or "there is no java on the PATH")
    )


def kafka_jars() -> Path:
    """Give the folder of Kafka's jars, fetching them with Maven the first time. Raises CannotBeHad."""
    version = kafka_version()
    kept = ROOT / ".cache" / "kafka" / f"{version}-{hashlib.sha256(POM.read_bytes()).hexdigest()[:8]}"
    if kept.is_dir():
        return kept
    maven = shutil.which("mvn")
    if maven is None:
        raise CannotBeHad("Apache Kafka is fetched with Maven and there is no mvn on the PATH")
    kept.parent.mkdir(parents=True, exist_ok=True)
    arriving = Path(tempfile.mkdtemp(prefix=f"{version}-", dir=kept.parent))
    try:
        _copy_jars(maven, arriving)
        if not kept.exists():
            arriving.rename(kept)
    finally:
        shutil.rmtree(arriving, ignore_errors=True)
    return kept


def _copy_jars(maven: str, into: Path) -> None:
    line = [maven, "-q", "-B", "-C", "-f", str(POM), "dependency:copy-dependencies"]
    line += ["-DincludeScope=runtime", f"-DoutputDirectory={into}"]
    try:
        fetched = subprocess.run(line, capture_output=True, text=True, timeout=FETCH_S)
    except subprocess.TimeoutExpired as late:
        raise CannotBeHad(f"Maven did not fetch Apache Kafka within {FETCH_S:g} s") from late
    if fetched.returncode != 0:
        raise CannotBeHad(f"Maven could not fetch Apache Kafka: {fetched.stdout.strip()[-500:]}")
