-- A load of small files for wrk: each has a name and bytes of its own. Arguments: where, a word before their names,
-- and the Authorization to send (or "-").
local number = 0
local filling = string.rep("0123456789abcdef", 255)

function init(arguments)
  where, word = arguments[1], arguments[2]
  headers = arguments[3] == "-" and {} or { Authorization = arguments[3] }
end

function request()
  number = number + 1
  return wrk.format("PUT", where .. word .. number, headers, string.format("%16s", word .. number) .. filling)
end
