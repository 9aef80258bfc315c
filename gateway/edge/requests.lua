-- What the transcoder lets pass: text that is no UTF-8, names that no message has, methods that a path does not have, HEAD.
-- Before it come TEMPLATES (by verb: {pattern, {method = request message}}) and MESSAGES (name -> {field -> false or a message}),
-- REFUSALS (by HTTP status, as JSON with %s for what is at fault) and OWN, the name under which filters tell each other things.

local DEEPEST = 100
local MOST_NAMED = 20
local LONGEST_NAMED = 100
-- Of a body: more than any definition has, and read in a moment.
local MOST_VALUES = 200000

local WORDS = {
  path = {"Đường dẫn hoặc tham số không phải UTF-8.", "The path or a parameter is not UTF-8."},
  body = {"Nội dung không phải UTF-8.", "The body is not UTF-8."},
  many = {"Nội dung có quá nhiều giá trị.", "The body has too many values."},
  field = {"Không có mục này trong yêu cầu.", "The request has no such field."},
}

-- RFC 3629, 4.
local function is_utf8(text)
  local at = 1
  while true do
    at = string.find(text, "[\128-\255]", at)
    if not at then return true end
    local a, b, c, d = string.byte(text, at, at + 3)
    local function tail(x) return x and x >= 128 and x <= 191 end
    if a >= 194 and a <= 223 and tail(b) then
      at = at + 2
    elseif a >= 224 and a <= 239 and tail(b) and tail(c) and not (a == 224 and b < 160) and not (a == 237 and b > 159) then
      at = at + 3
    elseif a >= 240 and a <= 244 and tail(b) and tail(c) and tail(d) and not (a == 240 and b < 144)
        and not (a == 244 and b > 143) then
      at = at + 4
    else
      return false
    end
  end
end

local function unescaped(text)
  return (string.gsub(text, "%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local function quoted(text)
  return '"' .. string.gsub(text, '[%c"\\]', function(c) return string.format("\\u%04x", string.byte(c)) end) .. '"'
end

-- The template's methods; nil for a path that none has.
local function methods_of(path)
  local verb = string.match(path, ":([^/:]*)$")
  local found = nil
  for _, template in ipairs(TEMPLATES[verb] or TEMPLATES[""]) do
    if string.find(path, template[1]) then
      found = found or {}
      for method, message in pairs(template[2]) do
        found[method] = found[method] or message
      end
    end
  end
  return found
end

-- Walks JSON as RFC 8259 has it and notes names that the message does not have. What is no JSON is left to the transcoder: it
-- ends with an error that nobody hears.
local Walk = {}
Walk.__index = Walk

function Walk:blank()
  self.at = string.find(self.text, "[^ \t\r\n]", self.at) or error("end")
  return string.sub(self.text, self.at, self.at)
end

function Walk:expect(pattern)
  local _, last = string.find(self.text, pattern, self.at)
  if not last then error("no JSON") end
  self.at = last + 1
end

-- After the opening quotation mark; returns it without them, its escapes as they are written.
function Walk:string()
  local first = self.at + 1
  local at = first
  while true do
    at = string.find(self.text, '["\\]', at) or error("end")
    if string.byte(self.text, at) == 34 then break end
    at = at + 2
  end
  self.at = at + 1
  return string.sub(self.text, first, at - 1)
end

-- Names of ours are of ASCII.
local function plain(name)
  return (string.gsub(name, "\\u00([0-7]%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- So much of a name as an answer repeats, in whole letters.
local function short(name)
  if #name <= LONGEST_NAMED then return name end
  return (string.gsub(string.sub(name, 1, LONGEST_NAMED), "[\192-\247][\128-\191]*$", ""))
end

function Walk:value(message, path, depth)
  self.values = self.values + 1
  if depth > DEEPEST or self.values > MOST_VALUES then error("too much") end
  local c = self:blank()
  if c == "{" then
    self:object(message, path, depth)
  elseif c == "[" then
    self:array(message, path, depth)
  elseif c == '"' then
    self:string()
  else
    self:expect("^[%w.+-]+")
  end
end

function Walk:object(message, path, depth)
  local fields = message and MESSAGES[message]
  self.at = self.at + 1
  if self:blank() == "}" then self.at = self.at + 1 return end
  while true do
    if self:blank() ~= '"' then error("no JSON") end
    local name = plain(self:string())
    self:blank()
    self:expect("^:")
    local inner = nil
    if fields then
      -- Of a map, every name is one.
      inner = fields[name]
      if inner == nil then inner = fields["*"] end
      if inner == nil and #self.unknown < MOST_NAMED then
        table.insert(self.unknown, path .. short(name))
      end
    end
    -- Paths are made where something may be at fault: a form's answers have any names, and are many.
    self:value(inner or nil, inner and path .. short(name) .. "." or "", depth + 1)
    local c = self:blank()
    self.at = self.at + 1
    if c == "}" then return end
    if c ~= "," then error("no JSON") end
  end
end

function Walk:array(message, path, depth)
  self.at = self.at + 1
  if self:blank() == "]" then self.at = self.at + 1 return end
  local index = 0
  local stem = message and string.gsub(path, "%.$", "")
  while true do
    self:value(message, message and stem .. "[" .. index .. "]." or "", depth + 1)
    index = index + 1
    local c = self:blank()
    self.at = self.at + 1
    if c == "]" then return end
    if c ~= "," then error("no JSON") end
  end
end

-- Adds the names that the message does not have; whether there were too many values to find all.
local function walked_out(text, message, unknown)
  local walk = setmetatable({text = text, at = 1, unknown = unknown, values = 0}, Walk)
  pcall(walk.value, walk, message, "", 0)
  return walk.values > MOST_VALUES
end

local function unknown_in_query(query, message)
  local unknown = {}
  for name in string.gmatch(query, "([^&=]+)[^&]*") do
    name = unescaped((string.gsub(name, "+", " ")))
    local inner = message
    for part in string.gmatch(name, "[^.]+") do
      local fields = inner and MESSAGES[inner]
      if fields then
        inner = fields[part]
        if inner == nil then inner = fields["*"] end
      end
      if inner == nil then
        if #unknown < MOST_NAMED then table.insert(unknown, short(name)) end
        break
      end
    end
  end
  return unknown
end

local function refuse(handle, status, faults, headers)
  local violations = {}
  for _, fault in ipairs(faults) do
    local field, words = fault[1], fault[2]
    table.insert(violations, '{"field":' .. quoted(field) .. ',"description":' .. quoted(words[1] .. " / " .. words[2]) .. "}")
  end
  local details = ""
  if #violations > 0 then
    details = ',{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[' .. table.concat(violations, ",") .. "]}"
  end
  local body = string.gsub(REFUSALS[status], "@MORE@", function() return details end)
  handle:streamInfo():dynamicMetadata():set(OWN, "refused", true)
  headers = headers or {}
  headers[":status"] = status
  headers["content-type"] = "application/json"
  handle:respond(headers, body)
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local whole, method = headers:get(":path"), headers:get(":method")
  local path = string.match(whole, "^[^?]*")
  if not string.find(path, "^/v1/") then return end
  if not is_utf8(unescaped(whole)) then
    return refuse(handle, "400", {{"", WORDS.path}})
  end
  local methods = methods_of(path)
  if not methods then return end
  if method == "HEAD" and methods.GET and not methods.STREAM then
    handle:streamInfo():dynamicMetadata():set(OWN, "head", true)
    headers:replace(":method", "GET")
    method = "GET"
  end
  local message, faults = methods[method], {}
  if not message then
    local allowed = {}
    for each in pairs(methods) do
      if each ~= "STREAM" then table.insert(allowed, each) end
    end
    if methods.GET and not methods.STREAM then table.insert(allowed, "HEAD") end
    table.insert(allowed, "OPTIONS")
    table.sort(allowed)
    return refuse(handle, "405", {}, {allow = table.concat(allowed, ", ")})
  end
  local unknown = unknown_in_query(string.match(whole, "?(.*)") or "", message)
  local body = method ~= "GET" and handle:body()
  if body and body:length() > 0 then
    local text = body:getBytes(0, body:length())
    if not is_utf8(text) then
      return refuse(handle, "400", {{"", WORDS.body}})
    end
    if walked_out(text, message, unknown) then
      return refuse(handle, "400", {{"", WORDS.many}})
    end
  end
  for _, name in ipairs(unknown) do
    table.insert(faults, {name, WORDS.field})
  end
  if #faults > 0 then
    return refuse(handle, "400", faults)
  end
end

function envoy_on_response(handle)
  local own = handle:streamInfo():dynamicMetadata():get(OWN)
  if own and own.head then
    local body = handle:body(true)
    if body then body:setBytes("") end
    handle:headers():remove("content-length")
  end
end
