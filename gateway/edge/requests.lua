-- What the transcoder lets pass: text that is no UTF-8, bodies that are no JSON, names that no message has or that stand twice,
-- paths and methods that there are not, HEAD.
-- Before it come TEMPLATES (by verb: {pattern, {method = request message}, fields in the path}) and MESSAGES (name -> {field -> a message, else
-- whether it is repeated}), REFUSALS (by HTTP status, as JSON with @MORE@ for what is at fault) OWN, the name under which filters tell
-- each other things, KINDS (by message and field: what a value is), ENUMS (by a kind: their names), and the bounds of a body, MOST_VALUES and DEEPEST.

local MOST_NAMED = 20
local LONGEST_NAMED = 100

local WORDS = {
  path = {"Đường dẫn hoặc tham số không phải UTF-8.", "The path or a parameter is not UTF-8."},
  body = {"Nội dung không phải UTF-8.", "The body is not UTF-8."},
  json = {"Nội dung không phải JSON (RFC 8259).", "The body is not JSON (RFC 8259)."},
  deep = {"Nội dung lồng quá nhiều cấp.", "The body is nested too deeply."},
  many = {"Nội dung có quá nhiều giá trị.", "The body has too many values."},
  field = {"Không có mục này trong yêu cầu.", "The request has no such field."},
  twice = {"Mục này xuất hiện hai lần.", "It stands there twice."},
}

local NUMBER = {
  "Ghi số nguyên bằng chữ số, không dấu chấm, dấu phẩy hay chữ, ví dụ 10000.",
  "Write a whole number in digits, without points, commas or letters, for example 10000.",
}
-- By a field's kind: what is asked for.
local WANTED = {
  int32 = NUMBER,
  uint32 = NUMBER,
  int64 = NUMBER,
  uint64 = NUMBER,
  float = {"Ghi một số, ví dụ 1.5.", "Write a number, for example 1.5."},
  bool = {"Ghi true hoặc false.", "Write true or false."},
  string = {"Ghi chữ trong dấu ngoặc kép.", "Write text, in quotation marks."},
  message = {"Ghi một đối tượng JSON, trong ngoặc nhọn.", "Write a JSON object, in braces."},
  time = {
    "Ghi thời điểm như 2026-12-01T00:00:00Z hoặc 2026-12-01T07:00:00+07:00.",
    "Write a moment as 2026-12-01T00:00:00Z or 2026-12-01T07:00:00+07:00.",
  },
}
local MOST_OF = {int32 = 2147483647, uint32 = 4294967295}
local DAYS = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

local function wanted(kind)
  if WANTED[kind] then return WANTED[kind] end
  return {"Ghi một trong: " .. ENUMS[kind].names .. ".", "Write one of: " .. ENUMS[kind].names .. "."}
end

-- RFC 3339, 5.6.
local function is_time(text)
  local year, month, day, hour, minute, second, zone = string.match(
    text, "^(%d%d%d%d)%-(%d%d)%-(%d%d)[Tt](%d%d):(%d%d):(%d%d)%.?%d*([Zz+-].*)$")
  if not year then return false end
  if not (string.find(zone, "^[Zz]$") or string.find(zone, "^[+-]%d%d:%d%d$")) then return false end
  month, day = tonumber(month), tonumber(day)
  if tonumber(year) < 1 or not DAYS[month] or day < 1 or day > DAYS[month] then return false end
  if month == 2 and day == 29 and (year % 4 ~= 0 or (year % 100 == 0 and year % 400 ~= 0)) then return false end
  return tonumber(hour) < 24 and tonumber(minute) < 60 and tonumber(second) < 61
end

-- Whether the transcoder reads it as that kind; what is not sure is left to it.
local function fits(kind, text, quoted)
  if not quoted and text == "null" then return true end
  if kind == "string" then return quoted end
  if kind == "time" then return quoted and is_time(text) end
  if kind == "bool" then return text == "true" or text == "false" end
  if kind == "float" then return not (text == "true" or text == "false") and (quoted or true) end
  if ENUMS[kind] then return ENUMS[kind][text] ~= nil or string.find(text, "^-?%d+$") ~= nil end
  if not string.find(text, quoted and "^-?%d+$" or "^-?%d") then return false end
  local number = tonumber(text)
  if not number then return false end
  if string.find(kind, "^u") and number < 0 then return false end
  if MOST_OF[kind] then return math.abs(number) <= MOST_OF[kind] + (number < 0 and 1 or 0) end
  return #string.gsub(text, "^-", "") <= 20 and math.abs(number) <= 18446744073709551615
end

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

-- The template's methods, nil for a path that none has; and what stands in the path, as a field is spelled.
local function methods_of(path)
  local verb = string.match(path, ":([^/:]*)$")
  local found, variables = nil, {}
  for _, template in ipairs(TEMPLATES[verb] or TEMPLATES[""]) do
    if string.find(path, template[1]) then
      found = found or {}
      for method, message in pairs(template[2]) do
        found[method] = found[method] or message
      end
      for name in pairs(template[3]) do variables[name] = true end
    end
  end
  return found, variables
end

-- Walks JSON as RFC 8259 has it, which the transcoder does not, and notes names that the message does not have, or that an object
-- has twice.
local Walk = {}
Walk.__index = Walk

function Walk:blank()
  self.at = string.find(self.text, "[^ \t\r\n]", self.at) or error("json", 0)
  return string.sub(self.text, self.at, self.at)
end

function Walk:expect(pattern)
  local _, last = string.find(self.text, pattern, self.at)
  if not last then error("json", 0) end
  self.at = last + 1
end

-- After the opening quotation mark; returns it without them, its escapes as they are written.
function Walk:string()
  local first = self.at + 1
  local at = first
  while true do
    at = string.find(self.text, '[%z\1-\31"\\]', at) or error("json", 0)
    local byte = string.byte(self.text, at)
    if byte == 34 then break end
    if byte < 32 then error("json", 0) end
    local _, last = string.find(self.text, '^["\\/bfnrt]', at + 1)
    if not last then _, last = string.find(self.text, "^u%x%x%x%x", at + 1) end
    at = (last or error("json", 0)) + 1
  end
  self.at = at + 1
  return string.sub(self.text, first, at - 1)
end

function Walk:scalar()
  for _, literal in ipairs({"true", "false", "null"}) do
    if string.sub(self.text, self.at, self.at + #literal - 1) == literal then
      self.at = self.at + #literal
      return
    end
  end
  if string.find(self.text, "^-?0%d", self.at) then error("json", 0) end
  self:expect("^-?%d+")
  if string.find(self.text, "^%.", self.at) then self:expect("^%.%d+") end
  if string.find(self.text, "^[eE]", self.at) then self:expect("^[eE][+-]?%d+") end
end

local function letter(code)
  if code < 128 then return string.char(code) end
  if code < 2048 then return string.char(192 + math.floor(code / 64), 128 + code % 64) end
  return string.char(224 + math.floor(code / 4096), 128 + math.floor(code / 64) % 64, 128 + code % 64)
end

local ESCAPED = {b = "\b", f = "\f", n = "\n", r = "\r", t = "\t"}

-- A name as it is meant. Halves of a pair (RFC 8259, 7) stay as they are written.
local function plain(name)
  if not string.find(name, "\\", 1, true) then return name end
  return (string.gsub(name, "\\(.)(%x?%x?%x?%x?)", function(kind, hex)
    if kind ~= "u" then return (ESCAPED[kind] or kind) .. hex end
    local code = tonumber(hex, 16)
    if code >= 55296 and code <= 57343 then return "\\u" .. hex end
    return letter(code)
  end))
end

-- A field has two spellings.
local function spelled(name)
  return string.lower((string.gsub(name, "_", "")))
end

-- So much of a name as an answer repeats, in whole letters.
local function short(name)
  if #name <= LONGEST_NAMED then return name end
  return (string.gsub(string.sub(name, 1, LONGEST_NAMED), "[\192-\247][\128-\191]*$", ""))
end

function Walk:note(name, words)
  if #self.faults < MOST_NAMED then table.insert(self.faults, {name, words}) end
end

-- `kind`: of the values, where they are no messages; `at`: the field's path.
function Walk:value(message, path, depth, kind, at)
  self.values = self.values + 1
  if depth > DEEPEST then error("deep", 0) end
  if self.values > MOST_VALUES then error("many", 0) end
  local c = self:blank()
  if c == "{" then
    if kind then self:note(at, wanted(kind)) end
    self:object(message, path, depth)
  elseif c == "[" then
    self:array(message, path, depth, kind, at)
  elseif c == '"' then
    local text = self:string()
    if kind and not fits(kind, plain(text), true) then self:note(at, wanted(kind)) end
    if message and at then self:note(at, WANTED.message) end
  else
    local first = self.at
    self:scalar()
    local text = string.sub(self.text, first, self.at - 1)
    if kind and not fits(kind, text, false) then self:note(at, wanted(kind)) end
    if message and at and text ~= "null" then self:note(at, WANTED.message) end
  end
end

function Walk:object(message, path, depth)
  local fields = message and MESSAGES[message]
  -- Of a map, every name is one.
  local any = fields and fields["*"]
  local seen = {}
  self.at = self.at + 1
  if self:blank() == "}" then self.at = self.at + 1 return end
  while true do
    if self:blank() ~= '"' then error("json", 0) end
    local name = plain(self:string())
    self:blank()
    self:expect("^:")
    local inner = nil
    if fields then
      inner = fields[name]
      if inner == nil then inner = any end
      if inner == nil then self:note(path .. short(name), WORDS.field) end
    end
    local key = fields and any == nil and spelled(name) or name
    if seen[key] then self:note(path .. short(name), WORDS.twice) end
    seen[key] = true
    if inner == true then inner = nil end
    -- Paths are made where something may be at fault: a form's answers have any names, and are many.
    local kinds = fields and KINDS[message]
    local kind = kinds and (kinds[name] or kinds["*"])
    local at = (inner or kind) and path .. short(name) or nil
    self:value(inner or nil, inner and at .. "." or "", depth + 1, kind, at)
    local c = self:blank()
    self.at = self.at + 1
    if c == "}" then return end
    if c ~= "," then error("json", 0) end
  end
end

function Walk:array(message, path, depth, kind, at)
  self.at = self.at + 1
  if self:blank() == "]" then self.at = self.at + 1 return end
  local index = 0
  local stem = message and string.gsub(path, "%.$", "")
  while true do
    local each = at and at .. "[" .. index .. "]"
    self:value(message, message and stem .. "[" .. index .. "]." or "", depth + 1, kind, each)
    index = index + 1
    local c = self:blank()
    self.at = self.at + 1
    if c == "]" then return end
    if c ~= "," then error("json", 0) end
  end
end

-- What is wrong with it.
local function walked(text, message)
  local walk = setmetatable({text = text, at = 1, faults = {}, values = 0}, Walk)
  local read, why = pcall(function()
    walk:value(message, "", 0)
    walk:expect("^[ \t\r\n]*$")
  end)
  if not read then return {{"", WORDS[why] or WORDS.json}} end
  return walk.faults
end

local function faults_of_query(query, message, variables)
  local faults, seen = {}, {}
  local function note(name, words)
    if #faults < MOST_NAMED then table.insert(faults, {short(name), words}) end
  end
  for name, value in string.gmatch(query, "([^&=]+)=?([^&]*)") do
    name, value = unescaped((string.gsub(name, "+", " "))), unescaped((string.gsub(value, "+", " ")))
    local inner, kind = message, nil
    for part in string.gmatch(name, "[^.]+") do
      local fields = inner and MESSAGES[inner]
      if fields then
        local kinds = KINDS[inner]
        kind = kinds and (kinds[part] or kinds["*"])
        inner = fields[part]
        if inner == nil then inner = fields["*"] end
      end
      if inner == nil then
        note(name, WORDS.field)
        break
      end
    end
    if kind and value ~= "" and kind ~= "bool" and not fits(kind, value, true) then note(name, wanted(kind)) end
    local key = spelled(name)
    if variables[key] or inner == false and seen[key] then note(name, WORDS.twice) end
    seen[key] = true
  end
  return faults
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
  local methods, variables = methods_of(path)
  if not methods then
    return refuse(handle, "404", {})
  end
  if method == "HEAD" and methods.GET and not methods.STREAM then
    handle:streamInfo():dynamicMetadata():set(OWN, "head", true)
    headers:replace(":method", "GET")
    method = "GET"
  end
  local message = methods[method]
  if not message then
    local allowed = {}
    for each in pairs(methods) do
      if each ~= "STREAM" then table.insert(allowed, each) end
    end
    if methods.GET and not methods.STREAM then table.insert(allowed, "HEAD") end
    table.insert(allowed, "OPTIONS")
    table.sort(allowed)
    local allow = table.concat(allowed, ", ")
    if method == "OPTIONS" then
      return handle:respond({[":status"] = "204", allow = allow}, "")
    end
    return refuse(handle, "405", {}, {allow = allow})
  end
  local faults = faults_of_query(string.match(whole, "?(.*)") or "", message, variables)
  local body = method ~= "GET" and handle:body()
  if body and body:length() > 0 then
    local text = body:getBytes(0, body:length())
    if not is_utf8(text) then
      return refuse(handle, "400", {{"", WORDS.body}})
    end
    for _, fault in ipairs(walked(text, message)) do
      table.insert(faults, fault)
    end
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
