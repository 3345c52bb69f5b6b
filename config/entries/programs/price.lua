-- What a box of pizzas costs: by the mean of their sizes.
local numbers, text = require("numbers"), require("text")

return function(order)
  if type(order) ~= "table" or type(order.sizes) ~= "table" then
    error{kind = "invalid_field", message = "an order has sizes"}
  end
  return {
    price = math.floor(numbers.mean(order.sizes) * #order.sizes * 35 + 0.5),
    of = text.upper(order.name or "somebody"),
  }
end
