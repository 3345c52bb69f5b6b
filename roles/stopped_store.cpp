#include "stopped_store.hpp"

#include "taskd/io/store_backup.hpp"
#include "taskd/service/rebuild.hpp"

namespace taskd::roles {

std::string find_store_dir(port::Files& files, const std::string& dir) {
    const bool inner =
        !io::read_store_id(files, dir) && io::read_store_id(files, dir + "/dispatcher");
    return inner ? dir + "/dispatcher" : dir;
}

Result<std::unique_ptr<StoppedStore>> copy_stopped(port::Files& files, const io::Store& store,
                                                   const std::string& copy, WallTime now) {
    if (auto copied = io::copy_view(files, store, copy); !copied)
        return std::unexpected{copied.error()};
    auto view = io::SqliteView::open({.path = copy,
                                      .store_id = store.id,
                                      .files = &files,
                                      .bodies = store.paths.bodies,
                                      .is_copy = true});
    if (!view) return std::unexpected{view.error()};
    auto stopped = std::make_unique<StoppedStore>();
    stopped->view = std::move(*view);
    const auto rebuilt = service::rebuild(stopped->engine, *stopped->view,
                                          [&](Sequence after, const service::TakeBatch& take) {
                                              return io::read_journal(files, store, after, take);
                                          });
    if (!rebuilt) return std::unexpected{rebuilt.error()};
    stopped->at = rebuilt->applied;
    if (rebuilt->applied == rebuilt->viewed) return stopped;
    const auto stored = stopped->view->store(
        service::take_view_change(stopped->engine, rebuilt->applied, {now, rebuilt->engine}));
    if (!stored) return std::unexpected{stored.error()};
    return stopped;
}

}  // namespace taskd::roles
