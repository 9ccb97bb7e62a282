"""What several peers make one process hold: bounded together, and nobody's part taken by another."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from transports.shared_bound import SharedBound

MOST = 1000
PEERS = 6

moves = st.lists(st.tuples(st.integers(0, PEERS - 1), st.integers(-400, 400)), max_size=200)


@given(moves=moves)
def test_all_hold_the_bound_at_the_most_and_a_newcomer_finds_as_much_as_anybody_has(
    moves: list[tuple[int, int]],
) -> None:
    bound = SharedBound(MOST)
    accounts = [bound.account() for _ in range(PEERS)]
    for peer, size in moves:
        account = accounts[peer]
        if size < 0:
            account.take(-min(-size, account.held))
        elif account.allows(size):
            account.take(size)
        else:
            assert account.held + size > MOST - bound.held
        assert bound.held == sum(account.held for account in accounts) <= MOST
        if size >= 0:
            assert bound.account().allows(min(account.held, MOST - bound.held))
