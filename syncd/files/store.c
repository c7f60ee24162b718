/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/files/store.c - a file's content as a blob, or as a pointer and a recording. */
#include "syncd/files/store.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "syncd/error.h"
#include "syncd/files/file.h"

enum {
	SMALL = 8 << 20, /* read at once; larger files go through a temporary file of libgit2 */
	CHUNK = 1 << 20,
};

bool sync_store_data(SyncRepo *repo, const char *data, gsize length, git_oid *ret_id, GError **error)
{
	return sync_fresh_store(repo->fresh, repo->git, data, length, GIT_OBJECT_BLOB, ret_id, error);
}

static bool store_large(SyncRepo *repo, int fd, GCancellable *cancellable, git_oid *ret_id, GError **error)
{
	git_writestream *stream;
	g_autofree char *buffer = g_malloc(CHUNK);
	ssize_t n;

	if (git_blob_create_from_stream(&stream, repo->git, NULL) < 0)
		return sync_git_error(error, "storing a file");
	while ((n = read(fd, buffer, CHUNK)) > 0) {
		if (g_cancellable_set_error_if_cancelled(cancellable, error)) {
			stream->free(stream);
			return false;
		}
		if (stream->write(stream, buffer, n) < 0) {
			stream->free(stream);
			return sync_git_error(error, "storing a file");
		}
	}
	if (n < 0) {
		sync_error_from_errno(error, errno, "reading a file");
		stream->free(stream);
		return false;
	}
	if (git_blob_create_from_stream_commit(ret_id, stream) < 0)
		return sync_git_error(error, "storing a file");
	return true;
}

bool sync_store_file(SyncRepo *repo, SyncObjects *objects, int fd, gsize size, GCancellable *cancellable, git_oid *ret_id, GError **error)
{
	if (objects) {
		SyncPointer pointer;

		if (!sync_objects_put(objects, fd, cancellable, &pointer, error))
			return false;
		g_autofree char *text = sync_pointer_text(&pointer);
		return sync_store_data(repo, text, strlen(text), ret_id, error);
	}
	if (size > SMALL)
		return store_large(repo, fd, cancellable, ret_id, error);
	g_autofree char *data = g_malloc(size + 1);
	gsize length = 0;
	ssize_t n = 1;
	while (length < size && (n = read(fd, data + length, size - length)) > 0)
		length += n;
	if (n < 0) {
		sync_error_from_errno(error, errno, "reading a file");
		return false;
	}
	return sync_store_data(repo, data, length, ret_id, error);
}
