-- What wrk sends, and its figures as one line of JSON.
--   wrk -s load.lua URL                     GET the URL
--   wrk -s load.lua URL -- PATH BODY        PUT the body to PATH0 ... PATH9999
local KEYS = 10000
local STRIDE = 3779 -- coprime to KEYS: every key has its turn, far from the one before

function init(args)
   local path, body = args[1], args[2]
   if path == nil then return end
   local requests = {}
   for key = 0, KEYS - 1 do
      requests[key] = wrk.format("PUT", path .. key, nil, body)
   end
   local key = 0
   request = function()
      key = (key + STRIDE) % KEYS
      return requests[key]
   end
end

function done(summary, latency)
   local errors = summary.errors
   print(string.format(
      '{"requests": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f, "failed": %d}',
      summary.requests,
      summary.duration / 1e6,
      latency:percentile(50) / 1e3,
      latency:percentile(99) / 1e3,
      errors.status + errors.connect + errors.read + errors.write + errors.timeout
   ))
end
