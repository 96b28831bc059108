-- wrk's requests: all from one file of parts, made beforehand, so that the load costs little.
-- Arguments: METHOD BODY_FILE HEADERS_FILE PATHS_FILE. A `@` in a header becomes a new number for
-- each request. At the end one line of figures is printed.

local threads = 0
function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

local function read(name)
  local file = assert(io.open(name, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

local heads, tails, turn, sent = {}, {}, 0, 0
function init(args)
  local body, headers = read(args[2]), {}
  for line in read(args[3]):gmatch("[^\n]+") do
    local name, value = line:match("^(.-): (.*)$")
    headers[name] = value
  end
  for path in read(args[4]):gmatch("[^\n]+") do
    local whole = wrk.format(args[1], path, headers, body)
    local cut = whole:find("@", 1, true)
    local head_end = whole:find("\r\n\r\n", 1, true)
    if cut and cut < head_end then
      heads[#heads + 1] = whole:sub(1, cut - 1) .. number .. "-" .. os.time() .. "-"
      tails[#tails + 1] = whole:sub(cut + 1)
    else
      heads[#heads + 1] = whole
      tails[#tails + 1] = false
    end
  end
end

function request()
  turn = turn % #heads + 1
  sent = sent + 1
  return tails[turn] and heads[turn] .. sent .. tails[turn] or heads[turn]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format("FIGURES %d %d %d %f %f\n", summary.requests, summary.duration,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
