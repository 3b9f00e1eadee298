-- What a team writes by hand for nginx: the recipient's categories from Redis, kept for a minute in shared memory.
local json, redis = require("cjson.safe"), require("nginx.redis")
local gate, categories = {}, {}

function gate.templates(path)
  for line in io.lines(path) do
    local name, category = line:match("^(%S+) (%S+)$")
    categories[name] = category
  end
end

local function refuse(code, text)
  local body = '{"error":{"message":"(#' .. code .. ") " .. text .. '","type":"OAuthException","code":' .. code .. "}}"
  ngx.status = 400
  ngx.header.content_type = "application/json"
  ngx.header.content_length = #body
  ngx.print(body)
  return ngx.exit(400)
end

local function agreed(number)
  local kept = ngx.shared.consent:get(number)
  if kept then return kept end
  local store = redis:new()
  store:set_timeouts(1000, 1000, 1000)
  local ok = store:connect("127.0.0.1", tonumber(ngx.var.redis))
  local found = ok and store:get("consent:" .. number)
  if not found then return nil end
  store:set_keepalive(60000, 256)
  if found == ngx.null then found = "" end
  ngx.shared.consent:set(number, found, 60)
  return found
end

function gate.check()
  ngx.req.read_body()
  local body = ngx.req.get_body_data()
  local send = body and json.decode(body)
  if type(send) ~= "table" or type(send.to) ~= "string" then return refuse(100, "unreadable") end
  local category = send.template and categories[send.template.name] or "marketing"
  local found = agreed((send.to:gsub("^+", "")))
  if not found then return refuse(131016, "the store does not answer") end
  if not found:find(category, 1, true) then return refuse(131050, "The recipient agreed to no such message") end
end

return gate
