-- For wrk: posts the images named after `--` one after the other, or gets where there are none, and prints what
-- tests/bench/serve reads.
local requests, at = {}, 0

function init(args)
   for i = 1, #args do
      local file = assert(io.open(args[i], "rb"))
      local json = args[i]:match("%.(%d+)%.tensor$")
      local kind = json and "application/octet-stream" or args[i]:match("%.tar$") and "application/x-tar" or "image/png"
      requests[i] = wrk.format("POST", nil, {["Content-Type"] = kind, ["Inference-Header-Content-Length"] = json}, file:read("*a"))
      file:close()
   end
end

function request()
   if #requests == 0 then return wrk.format("GET") end
   at = at % #requests + 1
   return requests[at]
end

function done(summary, latency)
   local e = summary.errors
   io.write(string.format("wrk %d %d %d %d %d %d %d\n", summary.requests, summary.duration, latency:percentile(50),
      latency:percentile(99), latency.max, e.connect + e.read + e.write + e.timeout, e.status))
end
