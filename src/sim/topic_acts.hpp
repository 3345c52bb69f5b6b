// What publishers, consumers and operators of topics do; a step each.
#pragma once

namespace taskd::sim {

class Story;

void publish_some(Story& story);
void subscribe(Story& story);
void ask_for_deliveries(Story& story);
void end_deliveries(Story& story);
void renew_deliveries(Story& story);
void disturb_topics(Story& story);
// At the end of a story: everything that is there is asked for and acknowledged.
void consume_all(Story& story);

}  // namespace taskd::sim
