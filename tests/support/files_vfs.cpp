#include "files_vfs.hpp"

#include <sqlite3.h>

#include <cstring>
#include <span>

#include "taskd/base/assert.hpp"
#include "taskd/base/random.hpp"

namespace taskd::support {
namespace {

struct Handle {
    std::unique_ptr<port::File> file;
    port::Files* files = nullptr;
    std::string path;
    bool sync_dir = false;  // with the first sync: the name may be new
    bool remove_at_close = false;
};

struct VfsFile {
    sqlite3_file base;
    Handle* handle;
};

port::File& file_of(sqlite3_file* file) {
    return *reinterpret_cast<VfsFile*>(file)->handle->file;
}

std::string parent_of(const std::string& path) {
    return path.substr(0, path.find_last_of('/'));
}

int code_of(const Result<void>& done, int failed) {
    if (done) return SQLITE_OK;
    return done.error().code == ErrorCode::disk_full ? SQLITE_FULL : failed;
}

int close_file(sqlite3_file* file) {
    Handle* handle = reinterpret_cast<VfsFile*>(file)->handle;
    if (handle->remove_at_close) static_cast<void>(handle->files->remove(handle->path));
    delete handle;
    return SQLITE_OK;
}

int read_file(sqlite3_file* file, void* into, int size, sqlite3_int64 offset) {
    const std::span<char> room{static_cast<char*>(into), static_cast<std::size_t>(size)};
    const auto count = file_of(file).read(static_cast<std::uint64_t>(offset), room);
    if (!count) return SQLITE_IOERR_READ;
    if (*count == room.size()) return SQLITE_OK;
    std::memset(room.data() + *count, 0, room.size() - *count);
    return SQLITE_IOERR_SHORT_READ;
}

int write_file(sqlite3_file* file, const void* from, int size, sqlite3_int64 offset) {
    return code_of(
        file_of(file).write(static_cast<std::uint64_t>(offset),
                            {static_cast<const char*>(from), static_cast<std::size_t>(size)}),
        SQLITE_IOERR_WRITE);
}

int truncate_file(sqlite3_file* file, sqlite3_int64 size) {
    return code_of(file_of(file).truncate(static_cast<std::uint64_t>(size)), SQLITE_IOERR_TRUNCATE);
}

int sync_file(sqlite3_file* file, int) {
    Handle& handle = *reinterpret_cast<VfsFile*>(file)->handle;
    if (const auto done = handle.file->sync(); !done) return SQLITE_IOERR_FSYNC;
    if (!handle.sync_dir) return SQLITE_OK;
    if (const auto done = handle.files->sync_dir(parent_of(handle.path)); !done)
        return SQLITE_IOERR_DIR_FSYNC;
    handle.sync_dir = false;
    return SQLITE_OK;
}

int size_of_file(sqlite3_file* file, sqlite3_int64* size) {
    const auto found = file_of(file).size();
    if (!found) return SQLITE_IOERR_FSTAT;
    *size = static_cast<sqlite3_int64>(*found);
    return SQLITE_OK;
}

int lock_file(sqlite3_file*, int) {
    return SQLITE_OK;
}  // the store's own lock guards the folder

int no_reserved_lock(sqlite3_file*, int* held) {
    *held = 0;
    return SQLITE_OK;
}

int no_control(sqlite3_file*, int, void*) {
    return SQLITE_NOTFOUND;
}
int sector_size(sqlite3_file*) {
    return 4'096;
}
int characteristics(sqlite3_file*) {
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

sqlite3_io_methods make_methods() {
    sqlite3_io_methods methods{};
    methods.iVersion = 1;
    methods.xClose = close_file;
    methods.xRead = read_file;
    methods.xWrite = write_file;
    methods.xTruncate = truncate_file;
    methods.xSync = sync_file;
    methods.xFileSize = size_of_file;
    methods.xLock = lock_file;
    methods.xUnlock = lock_file;
    methods.xCheckReservedLock = no_reserved_lock;
    methods.xFileControl = no_control;
    methods.xSectorSize = sector_size;
    methods.xDeviceCharacteristics = characteristics;
    return methods;
}

const sqlite3_io_methods methods = make_methods();

port::Files& files_of(sqlite3_vfs* vfs) {
    return *static_cast<port::Files*>(vfs->pAppData);
}

int open_file(sqlite3_vfs* vfs, sqlite3_filename path, sqlite3_file* file, int flags, int* out) {
    auto* opened = reinterpret_cast<VfsFile*>(file);
    opened->base.pMethods = nullptr;
    if (path == nullptr) return SQLITE_CANTOPEN;  // temporary files stay in memory
    port::OpenMode mode = port::OpenMode::read;
    if (flags & SQLITE_OPEN_READWRITE) mode = port::OpenMode::read_write;
    if (flags & SQLITE_OPEN_CREATE) mode = port::OpenMode::create;
    auto made = files_of(vfs).open(path, mode);
    if (!made) return made.error().code == ErrorCode::io_failed ? SQLITE_IOERR : SQLITE_CANTOPEN;
    constexpr int logs = SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL;
    opened->handle = new Handle{std::move(*made), &files_of(vfs), path,
                                (flags & SQLITE_OPEN_CREATE) != 0 && (flags & logs) != 0,
                                (flags & SQLITE_OPEN_DELETEONCLOSE) != 0};
    opened->base.pMethods = &methods;
    if (out != nullptr) *out = flags;
    return SQLITE_OK;
}

int remove_file(sqlite3_vfs* vfs, const char* path, int sync_dir) {
    if (!files_of(vfs).remove(path)) return SQLITE_IOERR_DELETE;
    if (sync_dir != 0 && !files_of(vfs).sync_dir(parent_of(path))) return SQLITE_IOERR_DIR_FSYNC;
    return SQLITE_OK;
}

int access_file(sqlite3_vfs* vfs, const char* path, int, int* found) {
    *found = 0;
    const auto file = files_of(vfs).open(path, port::OpenMode::read);
    if (!file)
        return file.error().code == ErrorCode::file_missing ? SQLITE_OK : SQLITE_IOERR_ACCESS;
    *found = (*file)->size().value_or(0) > 0 ? 1 : 0;
    return SQLITE_OK;
}

int full_path(sqlite3_vfs*, const char* path, int size, char* out) {
    if (std::strlen(path) >= static_cast<std::size_t>(size)) return SQLITE_CANTOPEN;
    std::strcpy(out, path);
    return SQLITE_OK;
}

// Salts of the log need to differ from one another, not from run to run.
int random_bytes(sqlite3_vfs*, int size, char* out) {
    static Random random{20'260'101};
    for (int i = 0; i < size; ++i)
        out[i] = static_cast<char>(random.next());
    return size;
}

int sleep_not(sqlite3_vfs*, int microseconds) {
    return microseconds;
}

int no_time(sqlite3_vfs*, double* now) {
    *now = 2'460'000.5;  // a Julian day; nothing here depends on it
    return SQLITE_OK;
}

int no_error(sqlite3_vfs*, int, char*) {
    return 0;
}

std::string fresh_name() {
    static int count = 0;
    return "taskd-files-" + std::to_string(++count);
}

}  // namespace

struct FilesVfs::Impl {
    std::string name = fresh_name();
    sqlite3_vfs vfs{};
};

FilesVfs::FilesVfs(port::Files& files) : impl_{std::make_unique<Impl>()} {
    sqlite3_vfs& vfs = impl_->vfs;
    vfs.iVersion = 1;
    vfs.szOsFile = sizeof(VfsFile);
    vfs.mxPathname = 512;
    vfs.zName = impl_->name.c_str();
    vfs.pAppData = &files;
    vfs.xOpen = open_file;
    vfs.xDelete = remove_file;
    vfs.xAccess = access_file;
    vfs.xFullPathname = full_path;
    vfs.xRandomness = random_bytes;
    vfs.xSleep = sleep_not;
    vfs.xCurrentTime = no_time;
    vfs.xGetLastError = no_error;
    TASKD_ASSERT(sqlite3_vfs_register(&vfs, 0) == SQLITE_OK);
}

FilesVfs::~FilesVfs() {
    sqlite3_vfs_unregister(&impl_->vfs);
}

const std::string& FilesVfs::name() const {
    return impl_->name;
}

}  // namespace taskd::support
