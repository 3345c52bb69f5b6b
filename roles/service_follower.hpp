// Keeps services as they are wanted while a supervisor looks after them: what is wanted in another
// form goes and comes again, one goes after those that need it, and comes after those it needs.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace taskd::roles {

template <class Form>
class ServiceFollower {
  public:
    struct Deeds {
        std::function<std::vector<std::string>(const Form&)> needs;  // names
        std::function<bool(const Form&, const Form&)> same;
        std::function<bool(const std::string& name)> is_there;  // also one that is not ours
        std::function<void(const std::string& name, const Form&)> add;
        // `done` follows when it has finished what it held and is gone.
        std::function<void(const std::string& name, std::function<void()> done)> remove;
    };
    using Forms = std::map<std::string, Form>;  // by name

    // `running` are there already.
    ServiceFollower(Deeds deeds, Forms running)
        : deeds_{std::move(deeds)}, running_{std::move(running)}, wanted_{running_} {}

    void follow(Forms wanted) {
        wanted_ = std::move(wanted);
        step();
    }
    bool runs(const std::string& name) const { return running_.contains(name); }

  private:
    // One step of each; the next follows when one has gone.
    void step() {
        const std::set<std::string> going = those_that_go();
        for (bool more = true; more;) {
            more = false;
            for (const auto& [name, form] : wanted_)
                more = add(name, form, going) || more;
        }
        for (const std::string& name : going)
            if (!is_needed(name)) let_go(name);
    }

    bool needs_one_of(const Form& form, const std::set<std::string>& names) const {
        return std::ranges::any_of(deeds_.needs(form),
                                   [&](const auto& need) { return names.contains(need); });
    }
    bool is_needed(const std::string& name) const {
        return std::ranges::any_of(
            running_, [&](const auto& each) { return needs_one_of(each.second, {name}); });
    }

    // What is not wanted as it is, what stands where another is wanted, and whoever needs those.
    std::set<std::string> those_that_go() const {
        std::set<std::string> going = leaving_;
        for (const auto& [name, form] : running_)
            if (const auto found = wanted_.find(name);
                found == wanted_.end() || !deeds_.same(found->second, form))
                going.insert(name);
        for (const auto& [name, form] : wanted_)
            if (!running_.contains(name) && deeds_.is_there(name)) going.insert(name);
        for (bool more = true; more;) {
            more = false;
            for (const auto& [name, form] : running_)
                if (needs_one_of(form, going)) more = going.insert(name).second || more;
        }
        return going;
    }

    bool add(const std::string& name, const Form& form, const std::set<std::string>& going) {
        if (running_.contains(name) || deeds_.is_there(name)) return false;
        const bool waits = needs_one_of(form, going) ||
                           !std::ranges::all_of(deeds_.needs(form), [&](const auto& need) {
                               return deeds_.is_there(need);
                           });
        if (waits) return false;
        running_.emplace(name, form);
        deeds_.add(name, form);
        return true;
    }

    void let_go(const std::string& name) {
        if (!leaving_.insert(name).second) return;
        deeds_.remove(name, [this, name] {
            leaving_.erase(name);
            running_.erase(name);
            step();
        });
    }

    Deeds deeds_;
    Forms running_;
    Forms wanted_;
    std::set<std::string> leaving_;
};

}  // namespace taskd::roles
