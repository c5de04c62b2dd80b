"""The script that counts inside Redis, for all that run Lua there."""

from collections.abc import Sequence
from typing import Final

from .counting import Count

SCRIPT: Final = """
local limit, window, amount = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local left = redis.call('PTTL', KEYS[2])
if left >= 0 and left <= window then
    redis.call('RENAME', KEYS[2], KEYS[1])
    redis.call('SET', KEYS[2], 0, 'PX', left + window)
end
local previous = tonumber(redis.call('GET', KEYS[1]) or 0)
local fading = math.max(redis.call('PTTL', KEYS[1]), 0)
local current = tonumber(redis.call('GET', KEYS[2]) or 0)
local used = current + math.max(math.floor((previous * fading - 1) / window), 0)
local allowed = used + amount <= limit
if allowed and amount > 0 then
    if redis.call('EXISTS', KEYS[2]) == 1 then
        current = redis.call('INCRBY', KEYS[2], amount)
    else
        current = amount
        redis.call('SET', KEYS[2], amount, 'PX', 2 * window)
    end
end
return {allowed and 1 or 0, previous, fading, current, math.max(redis.call('PTTL', KEYS[2]), 0)}
"""
"""Its keys are those of the window before and of the current one; the time is that of Redis, as
the lifetimes of the keys have it."""


def arguments(limit: int, expiry: int, amount: int) -> list[str]:
    """The arguments of the script."""
    return [str(limit), str(expiry * 1000), str(amount)]


def counted(answer: Sequence[int]) -> Count:
    """What the script answered."""
    allowed, previous, fading, current, left = answer
    return Count(allowed == 1, previous, fading, current, left)
