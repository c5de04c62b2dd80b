"""Define the scripts that run inside Redis.

They name every key that they touch in `KEYS`, and get the time as an argument. Each script reads
everything before it writes anything, so an error can only stop it before the first write.
"""

from hashlib import sha1
from typing import Final


class Script:
    """A script in Lua, and the digest by which Redis knows it after the first call."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = sha1(text.encode()).hexdigest()  # noqa: S324  (Redis names scripts so)


RECORDING: Final = """
local function record(log, kept, now, event, entry, version, expires_at, metadata)
    if kept == 0 then redis.call('XTRIM', log, 'MAXLEN', 0) return end
    redis.call(
        'XADD', log, 'MAXLEN', '~', kept, '*', 'event', event, 'entry', entry, 'version', version,
        'expires_at', expires_at, 'metadata', metadata, 'at', string.format('%d', math.ceil(now))
    )
end
"""
"""Record a change in the log of a bucket, which keeps at least `kept` changes.

If it keeps none, the log becomes empty: a reader must learn that changes are missing. The stream
stays, so that no id comes again.
"""

BATCH: Final = Script(
    RECORDING
    + """
local now, left, mode, kept = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local argument, name = 4, 0
local function take() argument = argument + 1; return ARGV[argument] end
local function key() name = name + 1; return KEYS[name] end

-- The versions and lifetimes as the operations so far would leave them, and expired versions.
local versions, expiries, sizes, expired = {}, {}, {}, {}
local function look(entry)
    if versions[entry] == nil then
        local found = redis.call('HMGET', entry, 'version', 'expires_at')
        local alive = found[1] and not (found[2] and tonumber(found[2]) <= now)
        versions[entry] = alive and found[1]
        expiries[entry] = found[2] or ''
        expired[entry] = not alive and (found[1] or '')
    end
    return versions[entry]
end

local function holds(version, entry)
    local negated, count = take() == '1', tonumber(take())
    if count == -2 then return true end
    if count == -3 then
        local wanted, expires_at = take(), take()
        return version == wanted and tonumber(expiries[entry]) == tonumber(expires_at)
    end
    local found = count == -1 and version ~= false
    for _ = 1, count do
        if take() == version then found = true end
    end
    return found ~= negated
end

local steps, answers, refused = {}, {}, false
while argument < #ARGV do
    local step = {act = take(), entry = key()}
    local version = look(step.entry)
    local answer = holds(version, step.entry) and 1 or 0
    if step.act == 'get' then
        step.there = version ~= false
        if answer == 1 and step.there then
            local size = sizes[step.entry] or redis.call('HSTRLEN', step.entry, 'value')
            if size > left then
                if mode == 'until' then break end
                answer = -1
            else
                left = left - size
            end
        end
    else
        step.index, step.expiring, step.log, step.member = key(), key(), key(), take()
        step.before = version
        if step.act == 'set' then
            step.version, step.value, step.is_json = take(), take(), take()
            step.metadata, step.expires_at, step.lives = take(), take(), take()
        end
        if step.act == 'touch' then
            step.expires_at, step.lives, step.there = take(), take(), version
            if answer == 1 and mode == 'all' and not version then answer = -2 end
            if answer == 1 then expiries[step.entry] = step.expires_at end
        elseif answer == 1 then
            versions[step.entry] = step.version or false
            expiries[step.entry] = step.expires_at or ''
            sizes[step.entry] = step.value and #step.value
        end
    end
    refused = refused or answer ~= 1
    steps[#steps + 1], answers[#answers + 1] = step, answer
end
if mode == 'all' and refused then return answers end

local function expire(step)
    if step.lives == '' then
        redis.call('PERSIST', step.entry)
        redis.call('ZREM', step.expiring, step.entry)
    else
        redis.call('PEXPIRE', step.entry, step.lives)
        redis.call('ZADD', step.expiring, step.expires_at, step.entry)
    end
end

-- The first write after an expiry records the expiry, unless that is done.
local function unrecorded_expiry(step)
    local version = expired[step.entry]
    expired[step.entry] = false
    local score = version and redis.call('ZSCORE', step.expiring, step.entry)
    return score and tonumber(score) > 0 and version
end

local function record_write(step, expiry, event, version, metadata)
    if expiry then record(step.log, kept, now, 'expire', step.entry, expiry, '', '') end
    if version then
        record(
            step.log, kept, now, event, step.entry, version, step.expires_at or '', metadata or ''
        )
    end
end

local function set(step)
    local expiry = unrecorded_expiry(step)
    local given = {'value', step.value, 'is_json', step.is_json, 'version', step.version}
    local absent = {}
    for _, field in ipairs({'metadata', 'expires_at'}) do
        if step[field] == '' then
            absent[#absent + 1] = field
        else
            given[#given + 1], given[#given + 2] = field, step[field]
        end
    end
    -- This comes first, since Redis refuses it when its memory is full.
    redis.call('HSET', step.entry, unpack(given))
    if #absent > 0 then redis.call('HDEL', step.entry, unpack(absent)) end
    redis.call('ZADD', step.index, 0, step.member)
    expire(step)
    record_write(step, expiry, 'set', step.version, step.metadata)
end

local function touch(step)
    if step.lives == '' then
        redis.call('HDEL', step.entry, 'expires_at')
    else
        redis.call('HSET', step.entry, 'expires_at', step.expires_at)
    end
    expire(step)
    local metadata = redis.call('HMGET', step.entry, 'metadata')[1]
    record_write(step, false, 'touch', step.before, metadata)
end

for i, step in ipairs(steps) do
    if answers[i] ~= 1 then
        -- This step has its answer.
    elseif step.act == 'set' then
        set(step)
    elseif step.act == 'touch' then
        if step.there then touch(step) end
        answers[i] = step.there
    elseif step.act == 'delete' then
        local expiry = unrecorded_expiry(step)
        redis.call('DEL', step.entry)
        redis.call('ZREM', step.index, step.member)
        redis.call('ZREM', step.expiring, step.entry)
        -- Redis does not refuse this when its memory is full, since it comes after a deletion.
        record_write(step, expiry, 'delete', step.before)
    else
        answers[i] = step.there and redis.call(
            'HMGET', step.entry, 'value', 'is_json', 'metadata', 'expires_at', 'version'
        )
    end
end
return answers
"""
)
"""Do operations in order. `KEYS` and `ARGV` are those of `batch_arguments`."""

GETS: Final = Script("""
local most, found = tonumber(ARGV[1]), {}
for i, entry in ipairs(KEYS) do
    if redis.call('HSTRLEN', entry, 'value') > most then
        found[i] = 0
    else
        found[i] = redis.call(
            'HMGET', entry, 'value', 'is_json', 'metadata', 'expires_at', 'version'
        )
    end
end
return found
""")
"""Read entries. 0 stands for an entry whose value has more bytes than `ARGV[1]`."""

INFOS: Final = Script("""
local infos = {}
for i, entry in ipairs(KEYS) do
    infos[i] = redis.call('HMGET', entry, 'version', 'expires_at', 'metadata')
end
return infos
""")
"""Read the fields of entries that a listing returns."""

DELETE_ALIVE: Final = Script(
    RECORDING
    + """
local now, kept, deleted = tonumber(ARGV[1]), tonumber(ARGV[2]), 0
local index, expiring, log = KEYS[1], KEYS[2], KEYS[3]
for i = 4, #KEYS do
    local entry, member = KEYS[i], ARGV[i - 1]
    local found = redis.call('HMGET', entry, 'version', 'expires_at')
    if not (found[2] and tonumber(found[2]) <= now) then
        local score = not found[1] and redis.call('ZSCORE', expiring, entry)
        redis.call('DEL', entry)
        redis.call('ZREM', index, member)
        redis.call('ZREM', expiring, entry)
        if found[1] then
            deleted = deleted + 1
            record(log, kept, now, 'delete', entry, found[1], '', '')
        elseif score and tonumber(score) > 0 then
            record(log, kept, now, 'expire', entry, '', '', '')
        end
    end
end
return deleted
"""
)
"""Remove the given entries of a bucket that have not expired, and count them."""

RELEASE: Final = Script("""
return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1])
""")
"""Remove a key if it still has this value."""

SWEEP: Final = Script(
    RECORDING
    + """
local now, before, kept = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local expiring, log, removed = KEYS[1], KEYS[2], 0
for i = 3, #KEYS, 2 do
    local entry, index, member = KEYS[i], KEYS[i + 1], ARGV[(i + 1) / 2 + 2]
    local found = redis.call('HMGET', entry, 'version', 'expires_at')
    if not found[1] or found[2] and tonumber(found[2]) <= before then
        local score = redis.call('ZSCORE', expiring, entry)
        redis.call('DEL', entry)
        redis.call('ZREM', index, member)
        removed = removed + redis.call('ZREM', expiring, entry)
        if score and tonumber(score) > 0 then
            record(log, kept, now, 'expire', entry, found[1] or '', '', '')
        end
    end
end
return removed
"""
)
"""Remove the given entries of a bucket that have expired, and count them.

An expiry that is not in the log yet is recorded.
"""

EXPIRE: Final = Script(
    RECORDING
    + """
local now, kept, expiring, log = tonumber(ARGV[1]), tonumber(ARGV[2]), KEYS[1], KEYS[2]
for i = 3, #KEYS do
    local entry = KEYS[i]
    local score = tonumber(redis.call('ZSCORE', expiring, entry) or 0)
    if score > 0 and score <= now then
        local version = redis.call('HMGET', entry, 'version')[1] or ''
        -- Redis refuses the other commands when its memory is full, unless this comes first.
        redis.call('ZREM', expiring, entry)
        redis.call('ZADD', expiring, -score, entry)
        record(log, kept, now, 'expire', entry, version, '', '')
    end
end
"""
)
"""Record the expiries of the given entries of a bucket, each once."""

BEGIN: Final = Script("""
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
return last and last[1] or redis.call('XADD', KEYS[1], '*', 'event', 'begin')
""")
"""Return the id of the last item in a log. A log without items gets one, which is no change."""

TRIM: Final = Script("""
local log, before, start, last = KEYS[1], tonumber(ARGV[1]), '-', nil
local function trim() return last and redis.call('XTRIM', log, 'MINID', last) or 0 end
for _, count in ipairs({2, 1000}) do
    for _, item in ipairs(redis.call('XRANGE', log, start, '+', 'COUNT', count)) do
        local at = item[2][12]
        if at and tonumber(at) >= before then return trim() end
        last = item[1]
    end
    start = last or start
end
return trim()
""")
"""Remove some items that are older than a time, but not the last of them, and count them.

So a reader whose cursor is the id of that item can still continue.
"""
