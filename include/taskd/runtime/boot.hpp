// Boot: makes a role's components in the order their wiring asks for, starts them, runs the loop,
// and takes them down in reverse.
//
//     auto journal = boot.add<FileJournal>("journal", settings.journal);
//     auto core    = boot.add<Dispatcher>("dispatcher", settings.core, journal);   // needs journal
//     return boot.run();
//
// An argument that is a Handle declares what a component needs and arrives as a reference to it. A
// need that no argument shows is said by name with after(); only so can a circle or a missing part
// be written, and then nothing is loaded. A component stands one level above the highest it needs,
// and where on_level() says. What outlives the boot (the loop, the log) is passed as
// std::ref. A component may have any of
//
//     static constexpr bool loads_beside = true;         // loads on a thread of its own
//     static Result<std::unique_ptr<T>> make(args...);   // instead of a constructor
//     void attach(AppContext& context);                  // once loaded, on the same thread
//     void freeze();                                     // when all are made, before the seal
//     Result<void> start();                              // when the context is sealed
//     Result<void> start_entries();                      // when all have started
//     bool ready();                                      // asked while running
//     void drain(std::function<void()> done);            // finish what is held, take no more
//     static constexpr bool drains_first = true;         // before those that need it
//     void stop();
//
// All on the loop's thread but for what loads beside: that touches nothing but its arguments, and
// of them only what is made for several threads.
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "taskd/base/assert.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/base/result.hpp"
#include "taskd/port/clock.hpp"
#include "taskd/port/log.hpp"
#include "taskd/port/main_loop.hpp"
#include "taskd/runtime/app_context.hpp"
#include "taskd/runtime/boot_plan.hpp"

namespace taskd::runtime {

// A component to be; worth something to the boot that gave it alone.
template <class T>
class Handle {
    friend class Boot;
    explicit Handle(std::size_t number) : number_{number} {}
    std::size_t number_;
};

struct BootSettings {
    Duration drain_timeout = limits::drain_timeout;
    // Asked in its place when the drain begins: of what only the components know.
    std::function<Duration()> ask_drain_timeout;
    // Of components that on_level() does not speak of: the lowest level.
    std::size_t own_level = 0;
    // Ends the process with this status at once; the second signal calls it.
    std::function<void(int)> leave;  // empty: _exit
    // What was made before the boot, as the plan tells it.
    std::vector<PlanStep> infrastructure;
    // Is given the plan once all have started; then the boot ends as by a signal.
    std::function<void(const BootPlan&)> plan_only;
};

class Boot {
  public:
    Boot(port::MainLoop& loop, const port::Clock& clock, port::Log& log,
         BootSettings settings = {});
    ~Boot();
    Boot(const Boot&) = delete;
    Boot& operator=(const Boot&) = delete;

    template <class T, class... Args>
    Handle<T> add(std::string name, Args&&... args);

    // `component` needs the one of this name, which may be added later.
    template <class T>
    void after(Handle<T> component, std::string name) {
        components_[component.number_]->info.needs.push_back(std::move(name));
    }

    // `component` stands on this level, and on no other: level_too_low when its needs put it
    // higher.
    template <class T>
    void on_level(Handle<T> component, std::size_t level) {
        components_[component.number_]->level = level;
    }

    // Loads level by level, starts, runs until a signal or shutdown(), drains and stops in reverse.
    // Answers the exit status: 0, that of the error that kept a component from loading or starting,
    // shutdown()'s, or 128 and the number of a second signal.
    int run();

    // All components run, each says it is ready, and no signal has come.
    bool ready() const;
    // As the first signal does, with this status.
    void shutdown(int status = 0);

    BootPlan plan() const;  // as far as it has come
    AppContext& context() { return context_; }
    template <class T>
    T& get(Handle<T> handle) const;  // once it is loaded

  private:
    struct Component {
        virtual ~Component() = default;
        virtual Result<void> load(const Boot& boot) = 0;
        virtual Result<void> start() = 0;
        virtual void drain(std::function<void()> done) = 0;
        virtual void stop() = 0;
        virtual bool ready() const = 0;
        virtual void destroy() = 0;
        virtual void* object() const = 0;
        virtual void attach(AppContext& context) = 0;
        virtual void freeze() = 0;
        virtual bool has_entries() const = 0;
        virtual Result<void> start_entries() = 0;

        ComponentInfo info;
        std::optional<std::size_t> level;  // said by on_level()
        bool loads_beside = false;
        bool drains_first = false;
        bool loaded = false;
    };
    template <class T, class... Stored>
    struct Typed;

    enum class State { adding, running, draining, ended };

    template <class Arg>
    void note_need(Component&, const Arg&) {}
    template <class U>
    void note_need(Component& component, const Handle<U>& handle);
    template <class Arg>
    static Arg&& resolve(const Boot&, Arg& arg) {
        return std::move(arg);
    }
    template <class U>
    static U& resolve(const Boot& boot, Handle<U>& handle) {
        return boot.get(handle);
    }
    template <class U>
    static U& resolve(const Boot&, std::reference_wrapper<U>& arg) {
        return arg.get();
    }

    std::size_t place(std::unique_ptr<Component> component);
    Result<void> bring_up();
    Result<void> sort_by_level();
    Result<void> load();
    Result<void> load_level(std::size_t begin, std::size_t end);
    Result<void> load_one(Component& component);
    Result<void> activate();
    Result<void> start_entries();
    std::unexpected<Error> give_up(std::string_view what, const Component& component,
                                   const Error& error) const;
    void on_signal(int number);
    void drain_next();
    void end_drain();
    void stop_started();
    void destroy_loaded();

    port::MainLoop& loop_;
    const port::Clock& clock_;
    port::Log& log_;
    BootSettings settings_;
    std::vector<std::unique_ptr<Component>> components_;  // as added; a handle's number
    std::vector<Component*> order_;
    AppContext context_;
    BootPlan plan_;
    State state_ = State::adding;
    std::size_t started_ = 0;            // the first so many of order_
    std::vector<Component*> undrained_;  // the last is the next
    Component* draining_ = nullptr;
    std::unique_ptr<port::Timer> drain_timer_;
    int status_ = 0;
};

template <class T, class... Stored>
struct Boot::Typed final : Boot::Component {
    explicit Typed(std::tuple<Stored...> arguments) : args{std::move(arguments)} {}

    Result<void> load(const Boot& boot) override {
        return std::apply(
            [&](auto&... each) -> Result<void> {
                if constexpr (requires { T::make(Boot::resolve(boot, each)...); }) {
                    auto made = T::make(Boot::resolve(boot, each)...);
                    if (!made) return fail(std::move(made));
                    part = std::move(*made);
                } else {
                    part = std::make_unique<T>(Boot::resolve(boot, each)...);
                }
                return {};
            },
            args);
    }
    Result<void> start() override {
        if constexpr (requires(T& it) {
                          { it.start() } -> std::same_as<Result<void>>;
                      })
            return part->start();
        return {};
    }
    void drain(std::function<void()> done) override {
        if constexpr (requires(T& it) { it.drain(done); })
            part->drain(std::move(done));
        else
            done();
    }
    void stop() override {
        if constexpr (requires(T& it) { it.stop(); }) part->stop();
    }
    bool ready() const override {
        if constexpr (requires(T& it) {
                          { it.ready() } -> std::convertible_to<bool>;
                      })
            return part->ready();
        return true;
    }
    void destroy() override { part.reset(); }
    void* object() const override { return part.get(); }
    void attach(AppContext& context) override {
        if constexpr (requires(T& it) { it.attach(context); }) part->attach(context);
    }
    void freeze() override {
        if constexpr (requires(T& it) { it.freeze(); }) part->freeze();
    }
    static constexpr bool enters = requires(T& it) {
        { it.start_entries() } -> std::same_as<Result<void>>;
    };
    bool has_entries() const override { return enters; }
    Result<void> start_entries() override {
        if constexpr (enters) return part->start_entries();
        return {};
    }

    std::tuple<Stored...> args;
    std::unique_ptr<T> part;
};

template <class T, class... Args>
Handle<T> Boot::add(std::string name, Args&&... args) {
    TASKD_ASSERT(state_ == State::adding);
    auto component = std::make_unique<Typed<T, std::decay_t<Args>...>>(
        std::tuple<std::decay_t<Args>...>{std::forward<Args>(args)...});
    component->info.name = std::move(name);
    if constexpr (requires { T::loads_beside; }) component->loads_beside = T::loads_beside;
    if constexpr (requires { T::drains_first; }) component->drains_first = T::drains_first;
    std::apply([&](const auto&... each) { (note_need(*component, each), ...); }, component->args);
    return Handle<T>{place(std::move(component))};
}

template <class U>
void Boot::note_need(Component& component, const Handle<U>& handle) {
    TASKD_ASSERT(handle.number_ < components_.size());
    component.info.needs.push_back(components_[handle.number_]->info.name);
}

template <class T>
T& Boot::get(Handle<T> handle) const {
    void* object = components_[handle.number_]->object();
    TASKD_ASSERT(object != nullptr);
    return *static_cast<T*>(object);
}

}  // namespace taskd::runtime
