"""Listen keys: who may open a private stream, and until when. Pure; told the time."""

import hashlib

from simulator.exchange.accounts import Account

VALID_MS = 3_600_000
KEYS_PER_ACCOUNT = 60


class ListenKeys:
    """Keys by value. Invariant: at most 60 an account, each valid for an hour (scaled) after its last renewal."""

    def __init__(self, seed: int, time_scale: float = 1.0) -> None:
        self._keys: dict[str, tuple[Account, int]] = {}
        self._seed = seed
        self._made = 0
        self._valid_ms = round(VALID_MS / time_scale)

    def create(self, account: Account, now_ms: int) -> str | None:
        """Make a key; None when the account has too many."""
        if len(self.of_account(account, now_ms)) >= KEYS_PER_ACCOUNT:
            return None
        self._made += 1
        key = hashlib.sha256(f"{self._seed}:{account.key}:{now_ms}:{self._made}".encode()).hexdigest()
        self._keys[key] = (account, now_ms + self._valid_ms)
        return key

    def renew(self, key: str, account: Account, now_ms: int) -> bool:
        """Extend an account's key; False when it is not one of its valid keys."""
        if self.owner(key, now_ms) is not account:
            return False
        self._keys[key] = (account, now_ms + self._valid_ms)
        return True

    def close(self, key: str, account: Account, now_ms: int) -> bool:
        """End an account's key; False when it is not one of its valid keys."""
        if self.owner(key, now_ms) is not account:
            return False
        del self._keys[key]
        return True

    def owner(self, key: str, now_ms: int) -> Account | None:
        """Return whose valid key this is, None when nobody's."""
        found = self._keys.get(key)
        if found is None:
            return None
        if found[1] <= now_ms:
            del self._keys[key]
            return None
        return found[0]

    def of_account(self, account: Account, now_ms: int) -> list[str]:
        """Return an account's valid keys, oldest first."""
        return [key for key in tuple(self._keys) if self.owner(key, now_ms) is account]

    def expire(self, account_key: str | None) -> int:
        """End all keys of an account, of all accounts for None. Returns how many."""
        gone = [key for key, (owner, _) in self._keys.items() if account_key in (None, owner.key)]
        for key in gone:
            del self._keys[key]
        return len(gone)
