-- Reads the topic approvals.asked, whose events say {workflow, step, amount}: what is small enough
-- is approved at once, the rest is left to people. An event that could not be answered comes again.
local topics, workflows = require("topics"), require("workflows")
local time, log = require("time"), require("log")

local group = "approval-bot"

return function(settings)
  local made, err = topics.subscribe(group, {pattern = "approvals.asked", start = "oldest"})
  if not made then error(err) end
  while true do
    local got
    got, err = topics.receive(group, {max = 10, wait_ms = 5000, consumer = "bot"})
    if not got then
      log.warn("no events", {error = err.message})
      time.sleep(1)
    end
    local words = {acks = list{}, nacks = list{}}
    for _, delivery in ipairs(got and got.deliveries or {}) do
      local ask = delivery.event.data
      local ok = true
      if ask.amount <= settings.limit then
        ok, err = workflows.approve(ask.workflow, ask.step,
                                    {by = "approval-bot", comment = "small enough"})
        ok = ok or err.kind == "step_not_waiting" or err.kind == "workflow_finished"
        log.info("approved", {workflow = ask.workflow, ok = tostring(ok)})
      end
      if ok then
        words.acks[#words.acks + 1] = delivery.id
      else
        words.nacks[#words.nacks + 1] = {
          id = delivery.id, error = {code = err.kind, message = err.message}}
      end
    end
    if #words.acks + #words.nacks > 0 then topics.settle(group, words) end
  end
end
