-- Reads pages of one site, from a first one on and not faster than so many a second, and tells who
-- asked, page by page.
local process, http, time = require("process"), require("http"), require("time")

return function(settings, listener)
  local pause = 1 / (settings.rate or 2)
  local most = settings.pages or 20
  local site = settings.url:match("^(http://[^/]+)")
  if not site then error{kind = "invalid_field", message = "url begins with http://"} end
  local waiting, seen, pages = {settings.url}, {[settings.url] = true}, list{}
  while #waiting > 0 and #pages < most do
    local began = time.steady()
    local url = table.remove(waiting, 1)
    local answer, err = http.request(url, {timeout = "10s"})
    local page = {url = url, status = answer and answer.status or 0, error = err and err.message}
    pages[#pages + 1] = page
    if listener then process.send(listener, "page", page) end
    if answer and type(answer.body) == "string" then
      for link in answer.body:gmatch('href="([^"#]+)"') do
        local next_url = link:match("^/") and site .. link or link
        if next_url:sub(1, #site + 1) == site .. "/" and not seen[next_url] then
          seen[next_url] = true
          waiting[#waiting + 1] = next_url
        end
      end
    end
    time.sleep(math.max(0, pause - (time.steady() - began)))
  end
  print("read " .. #pages .. " pages of " .. site)
  if listener then process.send(listener, "done", pages) end
  return pages
end
