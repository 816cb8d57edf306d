"""Which app comes in which wave."""

from fleetdeploy.core.manifest import App, Wave
from fleetdeploy.core.waves import assign

NORTH, SOUTH = {"region": "north"}, {"region": "south"}


def apps(count: int, **labels: str) -> list[App]:
    return [App(app_id=str(1000 + number), labels=labels) for number in range(count)]


def sizes(waves: list[Wave], fleet: list[App]) -> dict[str, int]:
    taken = assign(waves, fleet)
    return {wave.name: list(taken.values()).count(wave.name) for wave in waves}


def test_each_wave_takes_from_what_those_before_it_left() -> None:
    fleet = [App(app_id="1", labels=NORTH), App(app_id="2", labels=SOUTH), App(app_id="3")]
    waves = [
        Wave(name="listed", apps=("2", "1")),
        Wave(name="north", match={"region": ("north", "south")}),
        Wave(name="rest"),
    ]
    assert assign(waves, fleet) == {"2": "listed", "1": "listed", "3": "rest"}


def test_a_share_is_of_the_whole_fleet_and_rounds_up() -> None:
    waves = [Wave(name="a", percent=10), Wave(name="b", percent=0.1), Wave(name="rest")]
    assert sizes(waves, apps(214)) == {"a": 22, "b": 1, "rest": 191}


def test_a_share_that_is_a_whole_number_is_not_rounded_up_by_the_way_doubles_are_kept() -> None:
    assert sizes([Wave(name="a", percent=0.7), Wave(name="rest")], apps(1000))["a"] == 7


def test_a_wave_takes_no_more_than_there_is() -> None:
    waves = [Wave(name="a", count=3), Wave(name="b", count=3), Wave(name="rest")]
    assert sizes(waves, apps(4)) == {"a": 3, "b": 1, "rest": 0}


def test_the_order_of_the_manifest_does_not_matter_to_a_share() -> None:
    waves, fleet = [Wave(name="a", percent=20), Wave(name="rest")], apps(50)
    assert assign(waves, fleet) == assign(waves, fleet[::-1])


def test_a_client_that_joins_moves_at_most_one_other() -> None:
    waves, fleet = [Wave(name="a", count=10), Wave(name="rest")], apps(101)
    before = assign(waves, fleet[:-1])
    after = assign(waves, fleet)
    assert sum(after[app_id] != wave for app_id, wave in before.items()) <= 1


def test_a_share_is_no_run_of_neighbours() -> None:
    taken = assign([Wave(name="a", count=10), Wave(name="rest")], apps(100))
    chosen = sorted(int(app_id) for app_id, wave in taken.items() if wave == "a")
    assert chosen[-1] - chosen[0] > 20


def test_apps_that_no_wave_takes_are_missing() -> None:
    assert assign([Wave(name="a", apps=("1000",))], apps(2)) == {"1000": "a"}
