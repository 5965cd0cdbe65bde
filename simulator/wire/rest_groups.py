"""Signed REST routes of strategy groups: whose self-trade prevention is in force. Pure functions.

An account's own groups hold it from the start; others join by their uid. Shapes: MEXC's page "STP strategy group", read
2026-11-28.
"""

from typing import Any

from simulator.exchange.accounts import Account
from simulator.venue import Venue
from simulator.wire.errors import bad, invalid
from simulator.wire.requests import Request

# No limit is documented.
GROUPS_MAX = 50


def _answer(venue: Venue, data: Any) -> dict[str, Any]:
    return {"data": data, "code": 200, "msg": "success", "timestamp": venue.told_ms()}


def _members(venue: Venue, group_id: str) -> list[Account]:
    return [account for account in venue.exchange.accounts.values() if group_id in account.stp_groups.values()]


def _view(venue: Venue, name: str, group_id: str) -> dict[str, Any]:
    uids = ",".join(member.uid for member in _members(venue, group_id))
    return {"tradeGroupName": name, "tradeGroupId": int(group_id), "tradeGroupUid": uids}


def groups(venue: Venue, account: Account, request: Request) -> Any:
    """GET strategy/group: those that the account is in, or the one of tradeGroupName."""
    wanted = request.text("tradeGroupName")
    found = [(name, number) for name, number in account.stp_groups.items() if wanted in (None, name)]
    return _answer(venue, [_view(venue, name, number) for name, number in found])


def create_group(venue: Venue, account: Account, request: Request) -> Any:
    """POST strategy/group."""
    name = request.required("tradeGroupName")
    if name in account.stp_groups or len(account.stp_groups) >= GROUPS_MAX:
        raise bad(26, f"tradeGroupName is taken, or there are {GROUPS_MAX} groups already")
    known = [int(number) for one in venue.exchange.accounts.values() for number in one.stp_groups.values()]
    group_id = account.stp_groups[name] = str(max(known, default=0) + 1)
    return _answer(venue, _view(venue, name, group_id))


def _own_group(account: Account, request: Request) -> tuple[str, str]:
    wanted = request.required("tradeGroupId")
    for name, number in account.stp_groups.items():
        if number == wanted:
            return name, number
    raise bad(22222, "record does not exist")


def delete_group(venue: Venue, account: Account, request: Request) -> Any:
    """DELETE strategy/group, for all who are in it."""
    name, number = _own_group(account, request)
    for member in _members(venue, number):
        del member.stp_groups[name]
    return _answer(venue, True)


def _uids(venue: Venue, request: Request) -> list[Account]:
    by_uid = {account.uid: account for account in venue.exchange.accounts.values()}
    named = request.required("uid").split(",")
    if any(uid not in by_uid for uid in named):
        raise bad(10001, "user does not exist")
    return [by_uid[uid] for uid in named]


def add_uids(venue: Venue, account: Account, request: Request) -> Any:
    """POST strategy/group/uid: let accounts join."""
    name, number = _own_group(account, request)
    joining = _uids(venue, request)
    if any(member.stp_groups.get(name, number) != number for member in joining):
        raise invalid("uid: has another group of that name")
    for member in joining:
        member.stp_groups[name] = number
    return _answer(venue, _view(venue, name, number))


def remove_uids(venue: Venue, account: Account, request: Request) -> Any:
    """DELETE strategy/group/uid: let accounts leave."""
    name, number = _own_group(account, request)
    for member in _uids(venue, request):
        if member.stp_groups.get(name) == number:
            del member.stp_groups[name]
    return _answer(venue, True)
