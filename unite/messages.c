/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * unite/messages.c - Asterisk's voicemail: context/mailbox/folder/msgNNNN.{txt,wav,…}, numbered without a gap from 0000 in each folder.
 *
 * Both devices wrote msg0003. A message is known by what it is: its sound, and its text but for msg_id, which is made of the second and a counter and may
 * be given twice. One that the mailbox has not, in no folder, and did not have when the two parted, gets the next number, under the lock that Asterisk
 * itself takes; the text comes last, for that is what Asterisk counts. A number of which an earlier attempt has placed a part is gone on with.
 */
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unite/unite.h"

enum { NUMBER_MAX = 9999, LOCK_MS = 2000 };

typedef struct {
	char *folder; /* relative to the set */
	char *stem;   /* "msg0003" */
	GPtrArray *endings; /* ".txt", ".wav", sorted */
} Message;

static void message_free(gpointer data)
{
	Message *message = data;

	g_free(message->folder);
	g_free(message->stem);
	g_ptr_array_unref(message->endings);
	g_free(message);
}

/* "msg" and four digits, and an ending. */
static bool is_message(const char *name)
{
	if (strncmp(name, "msg", 3) != 0 || strspn(name + 3, "0123456789") != 4)
		return false;
	return name[7] == '.' && name[8];
}

/* Those below @top, or below @top/@mailbox. In the order of folders and numbers, as the list is. */
static GPtrArray *messages_in(const char *top, const char *mailbox)
{
	GPtrArray *messages = g_ptr_array_new_with_free_func(message_free);
	g_autofree char *folder = g_build_filename(top, mailbox, NULL);
	g_auto(GStrv) names = unite_list(folder);
	Message *last = NULL;

	for (guint i = 0; names[i]; i++) {
		g_autofree char *path = *mailbox ? g_build_filename(mailbox, names[i], NULL) : g_strdup(names[i]);
		const char *slash = strrchr(path, '/');

		if (!slash || !is_message(slash + 1))
			continue;
		g_autofree char *in = g_strndup(path, (gsize)(slash - path)), *stem = g_strndup(slash + 1, 7);
		if (!last || !g_str_equal(last->folder, in) || !g_str_equal(last->stem, stem)) {
			last = g_new0(Message, 1);
			last->folder = g_steal_pointer(&in);
			last->stem = g_steal_pointer(&stem);
			last->endings = g_ptr_array_new_with_free_func(g_free);
			g_ptr_array_add(messages, last);
		}
		g_ptr_array_add(last->endings, g_strdup(slash + 8));
	}
	return messages;
}

static bool has_ending(const Message *message, const char *ending)
{
	return g_ptr_array_find_with_equal_func(message->endings, ending, g_str_equal, NULL);
}

static char *path_of(const char *top, const Message *message, const char *stem, const char *ending)
{
	return g_strdup_printf("%s/%s/%s%s", top, message->folder, stem, ending);
}

/* ---- what a message is ---- */

/* The line "msg_id=…" of a text; NULL: there is none. */
static char *find_id(const char *text, const char **ret_line)
{
	for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (strncmp(line, "msg_id=", 7) == 0) {
			*ret_line = line;
			return g_strndup(line + 7, strcspn(line + 7, "\r\n"));
		}
	return NULL;
}

static char *id_of(const char *text)
{
	const char *line;

	return find_id(text, &line);
}

/* @text with another id in the place of the one it has. */
static char *with_id(const char *text, const char *id)
{
	const char *line;
	g_autofree char *old = find_id(text, &line);

	return g_strdup_printf("%.*smsg_id=%s%s", (int)(line - text), text, id, line + 7 + strlen(old));
}

static char *sum_of_text(const char *path, bool exact)
{
	g_autofree char *text = NULL, *id = NULL, *plain = NULL;

	if (exact || !g_file_get_contents(path, &text, NULL, NULL))
		return unite_sum(path);
	id = id_of(text);
	plain = id ? with_id(text, "") : g_strdup(text);
	return g_compute_checksum_for_string(G_CHECKSUM_SHA256, plain, -1);
}

/* @exact: with its id, as it stands in the files, which is all that a pointer can say. NULL: it cannot be read. */
static char *identity_of(const char *top, const Message *message, bool exact)
{
	g_autoptr(GString) all = g_string_new(NULL);

	for (guint i = 0; i < message->endings->len; i++) {
		const char *ending = message->endings->pdata[i];
		g_autofree char *path = path_of(top, message, message->stem, ending);
		g_autofree char *sum = g_str_equal(ending, ".txt") ? sum_of_text(path, exact) : unite_sum(path);

		if (!sum)
			return NULL;
		g_string_append_printf(all, "%s:%s\n", ending, sum);
	}
	return g_compute_checksum_for_string(G_CHECKSUM_SHA256, all->str, -1);
}

/* ---- one mailbox ---- */

typedef struct {
	char *name; /* relative */
	GHashTable *before; /* identities, exact */
	GHashTable *here;   /* identities, not exact */
	GHashTable *ids;    /* msg_id of those here */
} Mailbox;

static void mailbox_free(gpointer data)
{
	Mailbox *mailbox = data;

	g_free(mailbox->name);
	g_hash_table_unref(mailbox->before);
	g_hash_table_unref(mailbox->here);
	g_hash_table_unref(mailbox->ids);
	g_free(mailbox);
}

static GHashTable *identities(const char *top, const char *mailbox, bool exact)
{
	g_autoptr(GPtrArray) messages = messages_in(top, mailbox);
	GHashTable *set = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	for (guint i = 0; i < messages->len; i++) {
		char *identity = identity_of(top, messages->pdata[i], exact);

		if (identity)
			g_hash_table_add(set, identity);
	}
	return set;
}

static Mailbox *mailbox_new(const UnitePlace *place, const char *name)
{
	g_autoptr(GPtrArray) messages = messages_in(place->live, name);
	Mailbox *mailbox = g_new0(Mailbox, 1);

	mailbox->name = g_strdup(name);
	mailbox->before = identities(place->base, name, true);
	mailbox->here = identities(place->live, name, false);
	mailbox->ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	for (guint i = 0; i < messages->len; i++) {
		const Message *message = messages->pdata[i];
		g_autofree char *path = path_of(place->live, message, message->stem, ".txt"), *text = NULL;
		char *id = g_file_get_contents(path, &text, NULL, NULL) ? id_of(text) : NULL;

		if (id)
			g_hash_table_add(mailbox->ids, id);
	}
	return mailbox;
}

/* ---- placing ---- */

/* As Asterisk does it: a file of one's own, linked to a name that only one can have. */
static bool lock(const char *folder, char **ret_own, GError **error)
{
	g_autofree char *own = g_strdup_printf("%s/" UNITE_TEMPORARY "%d", folder, (int)getpid()), *name = g_build_filename(folder, ".lock", NULL);
	int fd = open(own, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return unite_errno(error, own);
	(void)close(fd);
	/* Watched before it is tried: no unlocking is missed. Where there are no watches more, once at the end of the time. */
	gint64 end_us = g_get_monotonic_time() + LOCK_MS * G_TIME_SPAN_MILLISECOND;
	int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), saved = 0;
	if (watch >= 0)
		(void)inotify_add_watch(watch, folder, IN_DELETE | IN_MOVED_FROM);
	while (link(own, name) < 0) {
		saved = errno;
		gint64 left_us = end_us - g_get_monotonic_time();
		if (saved != EEXIST || left_us <= 0)
			break;
		struct pollfd change = { .fd = watch, .events = POLLIN };
		char notices[4096];
		if (poll(&change, 1, (int)(left_us / 1000) + 1) > 0)
			(void)!read(watch, notices, sizeof notices);
		saved = 0;
	}
	if (watch >= 0)
		(void)close(watch);
	if (saved != 0) {
		(void)unlink(own);
		errno = saved;
		return unite_errno(error, name);
	}
	*ret_own = g_steal_pointer(&own);
	return true;
}

static void unlock(const char *folder, char *own)
{
	g_autofree char *name = g_build_filename(folder, ".lock", NULL);

	(void)unlink(name);
	(void)unlink(own);
	g_free(own);
}

/* Whether nothing has this number, or a part of @message and nothing else. */
static bool may_have(const UnitePlace *place, const Message *message, const char *stem, char *const *names)
{
	for (guint i = 0; names[i]; i++) {
		if (strncmp(names[i], stem, strlen(stem)) != 0 || names[i][strlen(stem)] != '.')
			continue;
		const char *ending = names[i] + strlen(stem);
		g_autofree char *from = path_of(place->theirs, message, message->stem, ending), *to = path_of(place->live, message, stem, ending);
		g_autofree char *theirs = has_ending(message, ending) ? unite_sum(from) : NULL, *ours = unite_sum(to);

		if (g_str_equal(ending, ".txt") || !theirs || g_strcmp0(theirs, ours) != 0)
			return false;
	}
	return true;
}

static bool place_as(const UnitePlace *place, const Message *message, const char *stem, const char *text, GError **error)
{
	/* ".txt" in a second round: then the message is there. */
	for (guint round = 0; round < 2; round++) {
		for (guint i = 0; i < message->endings->len; i++) {
			const char *ending = message->endings->pdata[i];
			bool is_text = g_str_equal(ending, ".txt"), exists;
			g_autofree char *from = path_of(place->theirs, message, message->stem, ending);
			g_autofree char *to = path_of(place->live, message, stem, ending);

			if (is_text != (round == 1))
				continue;
			if (!unite_place(from, is_text ? text : NULL, to, &exists, error))
				return false;
			if (exists && is_text) {
				errno = EEXIST;
				return unite_errno(error, to);
			}
		}
	}
	return true;
}

static bool place_message(const UnitePlace *place, Mailbox *mailbox, const Message *message, const char *identity, GError **error)
{
	g_autofree char *folder = g_build_filename(place->live, message->folder, NULL);
	g_autofree char *path = path_of(place->theirs, message, message->stem, ".txt"), *text = NULL;

	if (!g_file_get_contents(path, &text, NULL, error))
		return false;
	g_autofree char *id = id_of(text), *other = NULL, *own = NULL;
	if (id && g_hash_table_contains(mailbox->ids, id)) {
		g_autofree char *unique = g_strdup_printf("%s-%.8s", id, identity);

		other = with_id(text, unique);
	}
	if (!unite_clean(place->live, message->folder, error) || !lock(folder, &own, error))
		return false;
	g_auto(GStrv) names = unite_list(folder);
	bool placed = false, ok = true;
	for (guint n = 0; n < NUMBER_MAX && !placed && ok; n++) {
		g_autofree char *stem = g_strdup_printf("msg%04u", n);

		if (!may_have(place, message, stem, names))
			continue;
		ok = place_as(place, message, stem, other, error);
		placed = ok;
	}
	unlock(folder, g_steal_pointer(&own));
	if (ok && !placed) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NO_SPACE, "%s: there is no number left for a message", folder);
		return false;
	}
	return ok;
}

static bool unite_message(const UnitePlace *place, Mailbox *mailbox, const Message *message, UniteCount *count, GError **error)
{
	g_autofree char *exact = identity_of(place->theirs, message, true), *identity = identity_of(place->theirs, message, false);

	if (!exact || !identity)
		return unite_errno(error, message->folder);
	if (!has_ending(message, ".txt") || message->endings->len < 2) {
		count->incomplete++;
		return true;
	}
	if (g_hash_table_contains(mailbox->before, exact) || g_hash_table_contains(mailbox->here, identity))
		return true;
	if (!place_message(place, mailbox, message, identity, error))
		return false;
	g_hash_table_add(mailbox->here, g_steal_pointer(&identity));
	count->messages++;
	return true;
}

bool unite_messages(const UnitePlace *place, UniteCount *count, GError **error)
{
	g_autoptr(GPtrArray) messages = messages_in(place->theirs, "");
	g_autoptr(GHashTable) mailboxes = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, mailbox_free);
	g_auto(GStrv) names = unite_list(place->theirs);

	for (guint i = 0; i < messages->len; i++) {
		const Message *message = messages->pdata[i];
		const char *slash = strrchr(message->folder, '/');
		g_autofree char *name = g_strndup(message->folder, slash ? (gsize)(slash - message->folder) : 0);
		Mailbox *mailbox = g_hash_table_lookup(mailboxes, name);

		if (!mailbox) {
			mailbox = mailbox_new(place, name);
			g_hash_table_insert(mailboxes, mailbox->name, mailbox);
		}
		if (!unite_message(place, mailbox, message, count, error))
			return false;
	}
	/* Greetings, and whatever else is there. */
	for (guint i = 0; names[i]; i++) {
		const char *slash = strrchr(names[i], '/');

		if (!(slash && is_message(slash + 1)) && !unite_one_file(place, names[i], count, error))
			return false;
	}
	return true;
}
