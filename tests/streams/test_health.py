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
