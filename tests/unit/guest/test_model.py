"""The guest's pure model: ids, duplicates, bounds, results kept until removal, and any order of events."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from actors.errors import AlreadyExists, InvalidArgument, InvalidTransition, KatrioError, NotFound, ResourceExhausted
from actors.guest.model import GuestModel
from actors.lifecycle.container import ContainerState
from actors.lifecycle.process import ProcessState
from actors.limits import Limits
from actors.wire.spec import ExitStatus


def running(model: GuestModel, container: str = "c1") -> None:
    model.begin_create(container)
    model.created(container)
    model.begin_start(container)
    model.started(container)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "a",
        ".a",
        "..",
        "-a",
        "_a",
        "a/b",
        "../x",
        "a\0b",
        "a b",
        "a" * 129,
        "a" * 4096,
        "\u0430b",
        "a\n",
        "\u00e91",
        "\u0661\u0661",
    ],
)
def test_ids_that_could_alias_something_are_refused(bad: str) -> None:
    model = GuestModel()
    with pytest.raises(InvalidArgument) as failure:
        model.begin_create(bad)
    assert failure.value.details["field"] == "container_id"
    assert model.containers == {}


@pytest.mark.parametrize("good", ["c1", "a.b", "A_b-c.9", "0" * 64, "0" * 128])
def test_plain_ids_are_taken(good: str) -> None:
    model = GuestModel()
    model.begin_create(good)
    assert list(model.containers) == [good]


@given(st.text(max_size=140))
def test_whatever_is_taken_is_a_plain_path_component(text: str) -> None:
    model = GuestModel()
    try:
        model.begin_create(text)
    except InvalidArgument:
        return
    assert 2 <= len(text) <= 128
    assert "/" not in text
    assert text not in (".", "..")
    assert text.isascii()
    assert text.isprintable()


def test_the_loser_of_a_duplicate_create_leaves_the_winner_unharmed() -> None:
    model = GuestModel()
    running(model)
    with pytest.raises(AlreadyExists):
        model.begin_create("c1")
    assert model.container("c1").state is ContainerState.RUNNING


def test_a_failed_create_frees_its_id() -> None:
    model = GuestModel()
    model.begin_create("c1")
    model.create_failed("c1")
    running(model)
    assert model.container("c1").state is ContainerState.RUNNING


def test_a_second_start_is_refused() -> None:
    model = GuestModel()
    running(model)
    with pytest.raises(InvalidTransition):
        model.begin_start("c1")


def test_an_end_before_the_answer_to_start_wins() -> None:
    model = GuestModel()
    model.begin_create("c1")
    model.created("c1")
    model.begin_start("c1")
    model.exited("c1", "c1", ExitStatus(0))
    model.started("c1")
    assert model.container("c1").state is ContainerState.STOPPED


def test_exec_into_a_paused_container_is_refused_and_takes_no_id() -> None:
    model = GuestModel()
    running(model)
    model.paused("c1")
    with pytest.raises(InvalidTransition) as failure:
        model.begin_exec("c1", "e1")
    assert failure.value.details == {"state": "paused", "verb": "exec"}
    model.resumed("c1")
    model.begin_exec("c1", "e1")


def test_a_pause_that_lost_against_the_end_says_so() -> None:
    model = GuestModel()
    running(model)
    model.exited("c1", "c1", ExitStatus(137))
    with pytest.raises(InvalidTransition):
        model.paused("c1")


def test_results_are_kept_until_removal() -> None:
    model = GuestModel()
    running(model)
    model.begin_exec("c1", "e1")
    model.exec_started("c1", "e1")
    model.exited("c1", "e1", ExitStatus(7))
    model.exited("c1", "c1", ExitStatus(137))
    assert model.process("c1", "e1").exit == ExitStatus(7)
    assert model.process("c1", "").exit == ExitStatus(137)
    model.begin_remove("c1")
    model.removed("c1")
    with pytest.raises(NotFound):
        model.process("c1", "e1")


def test_counts_are_bounded_and_the_oldest_ended_process_makes_room() -> None:
    model = GuestModel(Limits(containers=1, processes=3))
    running(model)
    with pytest.raises(ResourceExhausted):
        model.begin_create("c2")
    for process in ("e1", "e2"):
        assert model.begin_exec("c1", process) is None
        model.exec_started("c1", process)
    with pytest.raises(ResourceExhausted):
        model.begin_exec("c1", "e3")
    model.exited("c1", "e2", ExitStatus(0))
    assert model.begin_exec("c1", "e3") == "e2"
    assert list(model.container("c1").processes) == ["c1", "e1", "e3"]


def test_what_is_still_read_makes_room_last() -> None:
    model = GuestModel(Limits(processes=4))
    running(model)
    for process in ("e1", "e2", "e3"):
        model.begin_exec("c1", process)
        model.exec_started("c1", process)
        model.exited("c1", process, ExitStatus(0))
    assert model.begin_exec("c1", "e4", ["e1"]) == "e2"
    model.exec_failed("c1", "e4")
    model.begin_exec("c1", "e5")
    assert model.begin_exec("c1", "e6", ["e1", "e3"]) == "e1"


def test_an_exec_id_is_free_once_its_end_was_told() -> None:
    model = GuestModel()
    running(model)
    model.begin_exec("c1", "e1")
    model.exec_started("c1", "e1")
    model.told("c1", "e1")
    with pytest.raises(AlreadyExists):
        model.begin_exec("c1", "e1")
    model.exited("c1", "e1", ExitStatus(7))
    with pytest.raises(AlreadyExists):
        model.begin_exec("c1", "e1")
    model.told("c1", "e1")
    assert model.begin_exec("c1", "e1") == "e1"
    assert model.process("c1", "e1").exit is None
    with pytest.raises(AlreadyExists):
        model.begin_exec("c1", "e1")
    model.exited("c1", "c1", ExitStatus(0))
    model.told("c1", "")
    model.told("nobody", "")
    with pytest.raises((AlreadyExists, InvalidTransition)):
        model.begin_exec("c1", "c1")


def test_a_second_sandbox_is_refused_and_destroy_repeats() -> None:
    model = GuestModel()
    model.create_sandbox("box")
    with pytest.raises(AlreadyExists):
        model.create_sandbox("box")
    running(model)
    with pytest.raises(InvalidTransition):
        model.destroy_sandbox()
    model.begin_remove("c1")
    model.exited("c1", "c1", ExitStatus(137))
    model.removed("c1")
    model.destroy_sandbox()
    model.destroy_sandbox()
    model.create_sandbox("box")


class AnyOrder(RuleBasedStateMachine):
    """Whatever is asked in whatever order: typed refusals only, and entries that agree with one another."""

    ids = st.sampled_from(["c1", "c2"])
    execs = st.sampled_from(["e1", "e2", "e3"])

    def __init__(self) -> None:
        super().__init__()
        self.model = GuestModel(Limits(containers=2, processes=3))

    def ask(self, method: str, *arguments: object) -> bool:
        """Whether it was allowed; a refusal must change nothing."""
        before = repr(self.model.containers)
        refusal: KatrioError | None = None
        try:
            getattr(self.model, method)(*arguments)
        except KatrioError as error:
            refusal = error
        if refusal is not None:
            assert refusal.code != "internal"
            assert repr(self.model.containers) == before
        return refusal is None

    @rule(container=ids, ok=st.booleans())
    def create(self, container: str, ok: bool) -> None:
        if self.ask("begin_create", container):
            if ok:
                self.model.created(container)
            else:
                self.model.create_failed(container)

    @rule(container=ids, outcome=st.sampled_from(["started", "failed", "exited"]))
    def start(self, container: str, outcome: str) -> None:
        if self.ask("begin_start", container):
            if outcome == "exited":
                self.model.exited(container, container, ExitStatus(1))
            if outcome == "failed":
                self.model.start_failed(container)
            else:
                self.model.started(container)

    @rule(container=ids, verb=st.sampled_from(["paused", "resumed"]))
    def freeze(self, container: str, verb: str) -> None:
        self.ask(verb, container)

    @rule(container=ids, process=execs, ok=st.booleans())
    def exec(self, container: str, process: str, ok: bool) -> None:
        if self.ask("begin_exec", container, process):
            if ok:
                self.model.exec_started(container, process)
            else:
                self.model.exec_failed(container, process)

    @precondition(lambda self: self.living())
    @rule(data=st.data(), code=st.integers(0, 255))
    def end(self, data: st.DataObject, code: int) -> None:
        container, process = data.draw(st.sampled_from(self.living()))
        self.model.exited(container, process, ExitStatus(code))

    @rule(container=ids)
    def remove(self, container: str) -> None:
        if self.ask("begin_remove", container):
            for owner, process in self.living():
                if owner == container:
                    self.model.exited(container, process, ExitStatus(137))
            self.model.removed(container)

    def living(self) -> list[tuple[str, str]]:
        return [
            (entry.id, process.id)
            for entry in self.model.containers.values()
            for process in entry.processes.values()
            if process.state in (ProcessState.READY, ProcessState.RUNNING)
        ]

    @invariant()
    def a_container_is_stopped_exactly_when_its_init_has_ended(self) -> None:
        for entry in self.model.containers.values():
            assert (entry.state is ContainerState.STOPPED) == (entry.init.state is ProcessState.EXITED)

    @invariant()
    def an_exit_is_known_exactly_of_the_ended(self) -> None:
        for entry in self.model.containers.values():
            assert len(entry.processes) <= 3
            for process in entry.processes.values():
                assert (process.exit is not None) == (process.state is ProcessState.EXITED)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=40)


@pytest.mark.parametrize(
    ("value", "shown"), [("/" + "x" * 79, "/" + "x" * 79), ("/" + "x" * 80, "/" + "x" * 76 + "..."), ("", "")]
)
def test_of_an_id_that_is_none_so_much_is_shown(value: str, shown: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        GuestModel(Limits()).begin_create(value)
    assert caught.value.message.startswith(f"container id {shown!r}: ")
