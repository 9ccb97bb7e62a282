"""A spot where one task waits: what it is handed, and that it is never woken twice."""

from __future__ import annotations

import outcome
import pytest
import trio
import trio.testing

from transports.parking import ParkingSpot


async def test_who_waits_gets_what_it_is_handed_and_nothing_is_kept_for_who_comes_later() -> None:
    spot: ParkingSpot[int] = ParkingSpot()
    got: list[object] = []

    async def wait() -> None:
        try:
            got.append(await spot.park())
        except KeyError as error:
            got.append(error.args)

    spot.unpark(outcome.Value(0))
    async with trio.open_nursery() as nursery:
        for result in (outcome.Value(1), outcome.Error(KeyError("gone")), None):
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            assert spot
            spot.unpark(result)
            spot.unpark(outcome.Value(7))
            assert not spot
            await trio.testing.wait_all_tasks_blocked()
    assert got == [1, ("gone",), None]


async def test_a_second_task_is_refused_and_the_first_still_waits() -> None:
    spot: ParkingSpot[None] = ParkingSpot()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(spot.park)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await spot.park()
        assert spot
        spot.unpark()


async def test_who_was_cancelled_has_left_by_the_time_that_it_runs() -> None:
    spot: ParkingSpot[None] = ParkingSpot()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(spot.park)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        assert not spot
        spot.unpark()
        assert nursery.child_tasks, "it has not run yet"


async def test_who_was_woken_and_then_cancelled_has_what_it_was_handed() -> None:
    spot: ParkingSpot[int] = ParkingSpot()
    got: list[int] = []

    async def wait() -> None:
        got.append(await spot.park())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        spot.unpark(outcome.Value(1))
        nursery.cancel_scope.cancel()
    assert got == [1]
