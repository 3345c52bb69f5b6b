// What an operator does with schedules in the simulation, and what must come of it: each time is
// one task, and every task that a schedule counts is there.
#pragma once

#include <set>
#include <string>
#include <vector>

namespace taskd::test {

class SimCluster;

class SimSchedules {
  public:
    explicit SimSchedules(SimCluster& cluster) : cluster_{cluster} {}

    void make();     // a new one, or one of them changed
    void disturb();  // paused, resumed, run by hand, made up for, removed
    // Said until it is heard: nothing has its turn any more.
    void pause_all();
    // What was broken, once no dispatcher is disturbed any more; waits for their tasks.
    std::vector<std::string> broken();

  private:
    std::string any() const;

    SimCluster& cluster_;
    std::vector<std::string> names_;
    std::set<std::string> removed_;
    std::size_t made_ = 0;
};

}  // namespace taskd::test
