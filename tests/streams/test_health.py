from streams.health import Health, Readiness


def test_ready_only_when_every_check_is_well():
    health = Health()
    store = health.flag("store", "waiting for the first write")
    health.register("delivery", lambda: None)

    assert health.readiness() == Readiness(
        ready=False, checks={"delivery": "ok", "store": "waiting for the first write"}
    )

    store.ok()
    assert health.readiness() == Readiness(ready=True, checks={"delivery": "ok", "store": "ok"})

    store.fail("database is locked")
    assert health.readiness() == Readiness(ready=False, checks={"delivery": "ok", "store": "database is locked"})


def test_without_checks_it_is_ready():
    assert Health().readiness() == Readiness(ready=True, checks={})


def test_a_note_is_shown_and_makes_nothing_unready():
    health = Health({"store": lambda: None})
    said: list[str] = []
    health.note("gaps", lambda: said[-1] if said else None)

    assert health.readiness() == Readiness(ready=True, checks={"store": "ok"})
    said.append("gone from Kafka unread since the start: gpu.samples/3@60-90")
    assert health.readiness() == Readiness(ready=True, checks={"store": "ok"}, notes={"gaps": said[0]})
