/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/voice/lfs-give.c - a request, its file, the next request. */
#include "syncd/voice/lfs-give.h"

#include <errno.h>
#include <fcntl.h>
#include <libsoup/soup.h>
#include <string.h>
#include <sys/stat.h>

#include "syncd/files/file.h"
#include "syncd/voice/objects.h"

#define OBJECTS SYNC_LFS_PATH "/objects/"

enum { CHUNK = 128 * 1024, HEAD_MAX = 16 * 1024, AT_ONCE_MAX = 32 };

struct SyncGiving {
	char *folder;
	GMutex lock; /* guards the rest */
	GCond changed;
	GPtrArray *talks; /* each of a thread */
};

typedef struct {
	SyncGiving *giving;
	SyncTalk *talk;
	gsize end;
	char buffer[CHUNK];
} Guest;

/* ---- what is asked for ---- */

guint sync_asked_find(const char *folder, const char *path, const char *range, SyncAsked *ret_asked)
{
	SyncAsked asked;
	struct stat st;

	if (!g_str_has_prefix(path, OBJECTS) || !sync_object_id_ok(path + strlen(OBJECTS)))
		return SOUP_STATUS_NOT_FOUND;
	g_autofree char *file = sync_objects_path_in(folder, path + strlen(OBJECTS));
	sync_autofd fd = open(file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
		return SOUP_STATUS_NOT_FOUND;
	asked.size = (guint64)st.st_size;
	asked.kind = sync_range_parse(range, asked.size, &asked.first, &asked.last);
	if (asked.kind == SYNC_RANGE_NONE || lseek(fd, (off_t)asked.first, SEEK_SET) < 0)
		return SOUP_STATUS_REQUESTED_RANGE_NOT_SATISFIABLE;
	asked.fd = fd;
	fd = -1;
	*ret_asked = asked;
	return asked.kind == SYNC_RANGE_PART ? SOUP_STATUS_PARTIAL_CONTENT : SOUP_STATUS_OK;
}

/* ---- one connection ---- */

static bool say(Guest *guest, const char *text, bool more)
{
	return sync_talk_send(guest->talk, text, strlen(text), more, NULL);
}

static bool refuse(Guest *guest, guint status)
{
	g_autofree char *json = sync_batch_error(soup_status_get_phrase(status));
	g_autofree char *text = g_strdup_printf("HTTP/1.1 %u %s\r\nContent-Type: application/vnd.git-lfs+json\r\nContent-Length: %zu\r\n\r\n%s", status,
						soup_status_get_phrase(status), strlen(json), json);

	return say(guest, text, false);
}

/* False: the connection ends; less came out of the file than was promised, too. */
static bool send_file(Guest *guest, const SyncAsked *asked)
{
	guint64 left = asked->last - asked->first + 1;

	while (left > 0) {
		ssize_t n = read(asked->fd, guest->buffer, MIN(left, CHUNK));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		left -= (guint64)n;
		if (!sync_talk_send(guest->talk, guest->buffer, (gsize)n, left > 0, NULL))
			return false;
	}
	return true;
}

static bool give(Guest *guest, SyncAsked *asked)
{
	sync_autofd fd = asked->fd; /* is closed with it */
	bool part = asked->kind == SYNC_RANGE_PART;
	g_autofree char *range = part ? g_strdup_printf("Content-Range: bytes %" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT "\r\n",
							asked->first, asked->last, asked->size) :
					NULL;
	g_autofree char *head = g_strdup_printf("HTTP/1.1 %s\r\nContent-Type: application/octet-stream\r\nAccept-Ranges: bytes\r\n"
						"Content-Length: %" G_GUINT64_FORMAT "\r\n%s\r\n",
						part ? "206 Partial Content" : "200 OK", asked->last - asked->first + 1, range ? range : "");

	return fd >= 0 && say(guest, head, true) && send_file(guest, asked);
}

static bool answer(Guest *guest, const char *head)
{
	g_autoptr(SoupMessageHeaders) headers = soup_message_headers_new(SOUP_MESSAGE_HEADERS_REQUEST);
	g_autofree char *method = NULL, *path = NULL;
	SoupHTTPVersion version;
	SyncAsked asked;

	if (soup_headers_parse_request(head, (int)strlen(head), headers, &method, &path, &version) != SOUP_STATUS_OK)
		return false;
	/* A body would be taken for the next request. */
	if (!g_str_equal(method, "GET"))
		return refuse(guest, SOUP_STATUS_METHOD_NOT_ALLOWED) && false;
	guint status = sync_asked_find(guest->giving->folder, path, soup_message_headers_get_one(headers, "Range"), &asked);
	return status == SOUP_STATUS_OK || status == SOUP_STATUS_PARTIAL_CONTENT ? give(guest, &asked) : refuse(guest, status);
}

/* Up to the empty line; NULL: nobody asks for anything any more. */
static char *read_head(Guest *guest)
{
	for (;;) {
		const char *end = g_strstr_len(guest->buffer, (gssize)guest->end, "\r\n\r\n");

		if (end) {
			gsize length = (gsize)(end - guest->buffer) + 4;
			char *head = g_strndup(guest->buffer, length - 2); /* libsoup wants one line's end */

			/* Who asks has waited for the answer to what he asked before. */
			if (length == guest->end)
				return head;
			g_free(head);
			return NULL;
		}
		if (guest->end >= HEAD_MAX)
			return NULL;
		gssize n = sync_talk_receive(guest->talk, guest->buffer + guest->end, HEAD_MAX - guest->end, NULL);
		if (n <= 0)
			return NULL;
		guest->end += (gsize)n;
	}
}

static gpointer work(gpointer data)
{
	Guest *guest = data;
	SyncGiving *giving = guest->giving;
	bool goes_on = true;

	while (goes_on) {
		guest->end = 0;
		g_autofree char *head = read_head(guest);

		goes_on = head && answer(guest, head);
	}
	g_mutex_lock(&giving->lock);
	g_ptr_array_remove_fast(giving->talks, guest->talk);
	sync_talk_free(guest->talk);
	g_free(guest);
	g_cond_signal(&giving->changed);
	g_mutex_unlock(&giving->lock);
	return NULL;
}

/* ---- all of them ---- */

SyncGiving *sync_giving_new(const char *folder)
{
	SyncGiving *giving = g_new0(SyncGiving, 1);

	g_mutex_init(&giving->lock);
	g_cond_init(&giving->changed);
	giving->folder = g_strdup(folder);
	giving->talks = g_ptr_array_new();
	return giving;
}

void sync_giving_add(SyncGiving *giving, SyncTalk *talk)
{
	g_autoptr(GMutexLocker) held = g_mutex_locker_new(&giving->lock);

	if (giving->talks->len >= AT_ONCE_MAX) {
		sync_talk_free(talk);
		return;
	}
	Guest *guest = g_malloc(sizeof *guest);
	guest->giving = giving;
	guest->talk = talk;
	g_ptr_array_add(giving->talks, talk);
	g_thread_unref(g_thread_new("voice-give", work, guest));
}

/* The lock is held. */
static void shut_all(SyncGiving *giving)
{
	for (guint i = 0; i < giving->talks->len; i++)
		sync_talk_shut(giving->talks->pdata[i]);
}

void sync_giving_show_out(SyncGiving *giving)
{
	g_mutex_lock(&giving->lock);
	shut_all(giving);
	g_mutex_unlock(&giving->lock);
}

void sync_giving_free(SyncGiving *giving)
{
	if (!giving)
		return;
	g_mutex_lock(&giving->lock);
	shut_all(giving);
	while (giving->talks->len > 0)
		g_cond_wait(&giving->changed, &giving->lock);
	g_mutex_unlock(&giving->lock);
	g_ptr_array_unref(giving->talks);
	g_mutex_clear(&giving->lock);
	g_cond_clear(&giving->changed);
	g_free(giving->folder);
	g_free(giving);
}
