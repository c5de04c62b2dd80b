-- Sends the requests of a file in turn: wrk -s load.lua URL -- FILE. Each is "LENGTH\nBYTES".
-- Prints the figures as one line of JSON.
local requests, sent = {}, 0

function init(args)
   local file = assert(io.open(args[1], "rb"))
   local length = file:read("*n")
   while length do
      file:read(1)
      requests[#requests + 1] = file:read(length)
      length = file:read("*n")
   end
   file:close()
end

function request()
   sent = sent % #requests + 1
   return requests[sent]
end

function done(summary, latency)
   local errors = summary.errors
   print(string.format(
      '{"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "p999": %f, "refused": %d, "broken": %d}',
      summary.requests,
      summary.duration / 1e6,
      latency:percentile(50) / 1e3,
      latency:percentile(99) / 1e3,
      latency:percentile(99.9) / 1e3,
      errors.status,
      errors.connect + errors.read + errors.write + errors.timeout
   ))
end
