-- Adds up amounts by key: process.send("totals", "add", {key = …, amount = …}), or from outside
-- taskd process send totals add '{"key": "a", "amount": 3}'. What has come together is published
-- every so many seconds; whoever sends "report" is told at once.
local process, topics, log = require("process"), require("topics"), require("log")

return function(settings)
  process.register("totals")
  local sums, changed = {}, false
  process.send_after(settings.every, process.id(), "tick")
  while true do
    local message = process.receive()
    if message.topic == "add" then
      local key, amount = message.payload.key, message.payload.amount
      sums[key] = (sums[key] or 0) + amount
      changed = true
    elseif message.topic == "report" then
      if message.from then process.send(message.from, "totals", sums) end
    elseif message.topic == "tick" then
      if changed then
        local published, err = topics.publish(settings.topic, {type = "totals", data = sums})
        if published then changed = false else log.warn("not published", {error = err.message}) end
      end
      process.send_after(settings.every, process.id(), "tick")
    elseif message.topic == "@cancel" then
      return sums
    elseif message.topic == "@outdated" then
      process.upgrade(settings)
    end
  end
end
