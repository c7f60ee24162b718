/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/files/snapshot.c - SQLite's backup interface, with care for who owns -wal and -shm. */
#include "syncd/files/snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "syncd/error.h"
#include "syncd/files/file.h"

enum { BUSY_MS = 2000, COPY_CHUNK = 1 << 20, WAL_VERSION = 2, WAL_DMS_BYTE = 128 };

static bool sqlite_failed(GError **error, sqlite3 *db, const char *what)
{
	g_set_error(error, SYNC_ERROR, SYNC_ERROR_FAILED, "%s: %s", what, sqlite3_errmsg(db));
	return false;
}

/* SQLite gives -wal and -shm the mode of the database, but the owner of whoever makes them: us, when the last other connection closed
 * between our look and our opening. The application could never open its database again. (O_PATH: closing any other descriptor of -shm would
 * drop SQLite's own locks on it, which belong to the process.) */
static void give_back(const char *path)
{
	static const char *const suffixes[] = { "-wal", "-shm" };
	struct stat database, st;

	if (stat(path, &database) < 0)
		return;
	for (guint i = 0; i < G_N_ELEMENTS(suffixes); i++) {
		g_autofree char *full = g_strconcat(path, suffixes[i], NULL);
		sync_autofd fd = open(full, O_PATH | O_NOFOLLOW | O_CLOEXEC);

		if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 && st.st_uid == geteuid() &&
		    st.st_uid != database.st_uid && fchownat(fd, "", database.st_uid, database.st_gid, AT_EMPTY_PATH) < 0)
			g_warning("%s: %s", full, g_strerror(errno));
	}
}

static bool copy_pages(const char *from, const char *to, GError **error)
{
	sqlite3 *source = NULL, *target = NULL;
	bool ok = false;

	/* Read-only: a reader that is the last to leave must not checkpoint what is not its own. */
	if (sqlite3_open_v2(from, &source, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOFOLLOW, NULL) != SQLITE_OK) {
		sqlite_failed(error, source, "opening the database");
	} else if (sqlite3_open_v2(to, &target, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK) {
		sqlite_failed(error, target, "opening the copy");
	} else {
		sqlite3_busy_timeout(source, BUSY_MS);
		/* The first look opens the companions; from then on we hold them, so nobody makes others. */
		(void)sqlite3_exec(source, "PRAGMA schema_version", NULL, NULL, NULL);
		give_back(from);
		sqlite3_exec(target, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF", NULL, NULL, NULL);
		sqlite3_backup *backup = sqlite3_backup_init(target, "main", source, "main");
		/* All pages in one step: with several, each write of the application starts the copy anew. */
		int rc = backup ? sqlite3_backup_step(backup, -1) : SQLITE_ERROR;
		for (int waited_ms = 0; (rc == SQLITE_BUSY || rc == SQLITE_LOCKED) && waited_ms < BUSY_MS; waited_ms += 10) {
			sqlite3_sleep(10);
			rc = sqlite3_backup_step(backup, -1);
		}
		if (backup)
			sqlite3_backup_finish(backup);
		ok = rc == SQLITE_DONE;
		if (!ok)
			g_set_error(error, SYNC_ERROR, SYNC_ERROR_FAILED, "copying the database: %s", sqlite3_errstr(rc));
	}
	sqlite3_close(source);
	sqlite3_close(target);
	return ok;
}

static bool copy_file(const char *from, const char *to, GError **error)
{
	sync_autofd in = open(from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	sync_autofd out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	g_autofree char *buffer = g_malloc(COPY_CHUNK);
	ssize_t n = in >= 0 && out >= 0 ? 1 : -1;

	while (n > 0) {
		n = read(in, buffer, COPY_CHUNK);
		if (n > 0 && write(out, buffer, n) != n)
			n = -1;
	}
	if (n == 0)
		return true;
	sync_error_from_errno(error, errno, "copying the database");
	return false;
}

static bool exists(const char *path, const char *suffix)
{
	g_autofree char *full = g_strconcat(path, suffix, NULL);

	return access(full, F_OK) == 0;
}

/* Whether the header says WAL. An empty or foreign file does not. */
static bool is_wal(const char *path)
{
	sync_autofd fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	guint8 header[20];

	return fd >= 0 && pread(fd, header, sizeof header, 0) == sizeof header && header[18] == WAL_VERSION;
}

bool sync_snapshot_take(const char *path, const char *copy, GError **error)
{
	(void)unlink(copy);
	/* In WAL mode an open database has its -shm. Without one nobody has it open, and opening it ourselves would make one that is ours:
	 * database and -wal are copied as files then, and the copy is opened. */
	give_back(path); /* we may have died before we could */
	if (!is_wal(path) || exists(path, "-shm"))
		return copy_pages(path, copy, error);

	g_autofree char *twin = g_strconcat(copy, ".twin", NULL);
	g_autofree char *twin_wal = g_strconcat(twin, "-wal", NULL);
	g_autofree char *twin_shm = g_strconcat(twin, "-shm", NULL);
	g_autofree char *wal = g_strconcat(path, "-wal", NULL);
	(void)unlink(twin);
	(void)unlink(twin_wal);
	(void)unlink(twin_shm);
	bool ok = copy_file(path, twin, error) && (access(wal, F_OK) < 0 || copy_file(wal, twin_wal, error)) &&
		  copy_pages(twin, copy, error);
	(void)unlink(twin);
	(void)unlink(twin_wal);
	(void)unlink(twin_shm);
	if (ok && exists(path, "-shm")) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_REFUSED, "busy: the database was opened while it was copied");
		return false;
	}
	return ok;
}

/* A connection to a WAL database holds a shared lock on one byte of -shm as long as it lives. */
static bool wal_is_held(const char *path)
{
	g_autofree char *shm = g_strconcat(path, "-shm", NULL);
	sync_autofd fd = open(shm, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = WAL_DMS_BYTE, .l_len = 1 };

	return fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

bool sync_snapshot_in_use(const char *path)
{
	struct stat database, st;
	bool found = false;

	if (stat(path, &database) < 0)
		return false;
	if (wal_is_held(path))
		return true;
	DIR *proc = opendir("/proc");
	for (struct dirent *entry = proc ? readdir(proc) : NULL; entry && !found; entry = readdir(proc)) {
		g_autofree char *fds = g_strconcat("/proc/", entry->d_name, "/fd", NULL);

		if (!g_ascii_isdigit(entry->d_name[0]))
			continue;
		DIR *dir = opendir(fds);
		for (struct dirent *fd = dir ? readdir(dir) : NULL; fd && !found; fd = readdir(dir)) {
			/* Cheap first: most descriptors are sockets and pipes. */
			char target[PATH_MAX];
			ssize_t n = readlinkat(dirfd(dir), fd->d_name, target, sizeof target);

			if (n > 0 && target[0] == '/' && fstatat(dirfd(dir), fd->d_name, &st, 0) == 0)
				found = st.st_dev == database.st_dev && st.st_ino == database.st_ino;
		}
		if (dir)
			(void)closedir(dir);
	}
	if (proc)
		(void)closedir(proc);
	return found;
}
