/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/syncd/test-give.c - recordings from one side of a socket to the other, through the door, by whoever asks in the right way and with the right key. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>

#include "syncd/error.h"
#include "syncd/files/file.h"
#include "syncd/peer/door.h"
#include "syncd/peer/talk.h"
#include "syncd/voice/lfs-give.h"
#include "syncd/voice/objects.h"

enum { LENGTH = 3 << 20, TIMEOUT_S = 20, SILENCE_S = 20 };

typedef struct {
	char *top, *id;
	guint8 *content; /* LENGTH */
	SyncKey *server, *client;
	SyncGiving *giving;
	/* what the door said */
	bool told, refused;
	SyncTalk *talk;
	GIOStream *plain;
	int sends; /* for one recording */
} Lab;

typedef struct {
	Lab *lab;
	GSocketConnection *base;
	const char *pin;
	void (*ask)(Lab *lab, SyncTalk *talk); /* NULL: no hands are shaken */
} Client;

/* In the place of the C library's. */
static gint sends;

ssize_t send(int fd, const void *data, size_t length, int flags)
{
	g_atomic_int_inc(&sends);
	return sendto(fd, data, length, flags, NULL, 0);
}

static char *store(Lab *lab)
{
	g_autofree char *folder = g_build_filename(lab->top, "lfs", NULL), *file = g_build_filename(lab->top, "file", NULL);
	g_autoptr(GError) error = NULL;
	g_autoptr(SyncObjects) objects = sync_objects_open(folder, &error);
	SyncPointer pointer;

	g_assert_no_error(error);
	g_assert_true(g_file_set_contents(file, (const char *)lab->content, LENGTH, &error));
	sync_autofd fd = open(file, O_RDONLY | O_CLOEXEC);
	g_assert_true(sync_objects_put(objects, fd, NULL, &pointer, &error));
	lab->giving = sync_giving_new(folder);
	return g_strdup(pointer.id);
}

static SyncKey *key(const Lab *lab, const char *name)
{
	g_autofree char *folder = g_build_filename(lab->top, name, NULL);
	g_autoptr(GError) error = NULL;

	g_assert_cmpint(g_mkdir(folder, 0700), ==, 0);
	SyncKey *made = sync_key_load(folder, &error);
	g_assert_no_error(error);
	return made;
}

static void lab_begin(Lab *lab)
{
	*lab = (Lab){ .top = g_dir_make_tmp("understudy-give-XXXXXX", NULL), .content = g_malloc(LENGTH) };
	for (guint i = 0; i < LENGTH; i++)
		lab->content[i] = (guint8)(i * 2654435761u >> 24);
	lab->id = store(lab);
	lab->server = key(lab, "server");
	lab->client = key(lab, "client");
}

static void lab_end(Lab *lab)
{
	sync_giving_free(lab->giving);
	g_clear_object(&lab->plain);
	sync_key_unref(lab->server);
	sync_key_unref(lab->client);
	sync_file_remove_tree(AT_FDCWD, lab->top);
	g_free(lab->top);
	g_free(lab->id);
	g_free(lab->content);
	/* The door's source goes with what it has yet to do. */
	while (g_main_context_iteration(NULL, FALSE))
		continue;
}

static GSocketConnection *connection_of(int fd)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GSocket) socket = g_socket_new_from_fd(fd, &error);

	g_assert_no_error(error);
	g_socket_set_blocking(socket, FALSE);
	return g_socket_connection_factory_create_connection(socket);
}

static void judged(GIOStream *plain, SyncTalk *talk, const char *fingerprint, bool refused, const char *why, gpointer user_data)
{
	Lab *lab = user_data;

	lab->told = true;
	lab->refused = refused;
	lab->plain = plain ? g_object_ref(plain) : NULL;
	if (talk)
		sync_giving_add(lab->giving, talk);
}

static gpointer run_client(gpointer data)
{
	Client *client = data;
	g_autoptr(GError) error = NULL;
	g_autoptr(SyncTalk) talk = sync_talk_dial(client->base, client->lab->client, client->pin, SILENCE_S, NULL, &error);

	if (client->ask)
		g_assert_no_error(error);
	if (client->ask)
		client->ask(client->lab, talk);
	g_object_unref(client->base);
	return error ? g_error_copy(error) : NULL;
}

static gboolean late(gpointer unused)
{
	g_error("nothing happened for %d s", TIMEOUT_S);
	return G_SOURCE_REMOVE;
}

/* A door that lets in who has @pin, and a client that lets in who has @client_pin. What the client's dial said; NULL: it worked. */
static GError *meet(Lab *lab, const char *pin, const char *client_pin, bool talks, void (*ask)(Lab *lab, SyncTalk *talk))
{
	int pair[2];

	g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
	g_autoptr(GSocketConnection) base = connection_of(pair[0]);
	Client client = { lab, connection_of(pair[1]), client_pin, ask };
	guint timer = g_timeout_add_seconds(TIMEOUT_S, late, NULL);

	(void)sync_door_open(base, lab->server, pin, talks, TIMEOUT_S, judged, lab);
	g_clear_object(&base);
	GThread *thread = g_thread_new("client", run_client, &client);
	while (!lab->told)
		g_main_context_iteration(NULL, TRUE);
	GError *error = g_thread_join(thread);
	g_source_remove(timer);
	return error;
}

/* ---- what is said ---- */

static void request(SyncTalk *talk, const char *line, const char *range)
{
	g_autofree char *text = g_strdup_printf("%s HTTP/1.1\r\nHost: understudy\r\n%s%s%s\r\n", line, range ? "Range: " : "", range ? range : "", range ? "\r\n" : "");
	g_autoptr(GError) error = NULL;

	g_assert_true(sync_talk_send(talk, text, strlen(text), false, &error));
	g_assert_no_error(error);
}

/* The head of an answer, and its body as long as that says. */
static char *answer(SyncTalk *talk, GByteArray *body)
{
	g_autoptr(GString) head = g_string_new(NULL);
	g_autoptr(GError) error = NULL;
	char byte;

	while (!g_str_has_suffix(head->str, "\r\n\r\n")) {
		g_assert_cmpint(sync_talk_receive(talk, &byte, 1, &error), ==, 1);
		g_string_append_c(head, byte);
	}
	const char *length = strstr(head->str, "Content-Length: ");
	g_assert_nonnull(length);
	g_byte_array_set_size(body, (guint)g_ascii_strtoull(length + strlen("Content-Length: "), NULL, 10));
	for (guint at = 0; at < body->len;) {
		gssize n = sync_talk_receive(talk, body->data + at, body->len - at, &error);

		g_assert_cmpint(n, >, 0);
		at += (guint)n;
	}
	return g_string_free(g_steal_pointer(&head), FALSE);
}

static void get(Lab *lab, SyncTalk *talk, const char *id, const char *range, guint first, guint n, const char *status)
{
	g_autofree char *line = g_strdup_printf("GET " SYNC_LFS_PATH "/objects/%s", id);
	g_autoptr(GByteArray) body = g_byte_array_new();

	request(talk, line, range);
	g_autofree char *head = answer(talk, body);
	g_assert_true(g_str_has_prefix(head, status));
	if (n > 0)
		g_assert_cmpmem(body->data, body->len, lab->content + first, n);
	if (range && n > 0) {
		g_autofree char *expected = g_strdup_printf("\r\nContent-Range: bytes %u-%u/%d\r\n", first, first + n - 1, LENGTH);
		g_assert_nonnull(strstr(head, expected));
	}
}

static void ask_for_all(Lab *lab, SyncTalk *talk)
{
	static const char nobody[] = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

	/* One after the other over the one connection. */
	get(lab, talk, lab->id, NULL, 0, LENGTH, "HTTP/1.1 200 ");
	get(lab, talk, lab->id, "bytes=1000000-", 1000000, LENGTH - 1000000, "HTTP/1.1 206 ");
	get(lab, talk, lab->id, "bytes=5-9", 5, 5, "HTTP/1.1 206 ");
	get(lab, talk, nobody, NULL, 0, 0, "HTTP/1.1 404 ");
	get(lab, talk, "../../../key.pem", NULL, 0, 0, "HTTP/1.1 404 ");
	get(lab, talk, lab->id, "bytes=3145728-", 0, 0, "HTTP/1.1 416 ");
	get(lab, talk, lab->id, "bytes=0-", 0, LENGTH, "HTTP/1.1 206 ");
}

/* Eight records or more at a time; a socket that is full takes some of it. */
static void ask_for_one(Lab *lab, SyncTalk *talk)
{
	int before = g_atomic_int_get(&sends);

	get(lab, talk, lab->id, NULL, 0, LENGTH, "HTTP/1.1 200 ");
	lab->sends = g_atomic_int_get(&sends) - before;
}

static void test_gives_much_at_once(void)
{
	Lab lab;

	lab_begin(&lab);
	g_assert_null(meet(&lab, lab.client->fingerprint, lab.server->fingerprint, true, ask_for_one));
	g_assert_cmpint(lab.sends, <, LENGTH / 16384 / 2);
	lab_end(&lab);
}

static void test_gives(void)
{
	Lab lab;

	lab_begin(&lab);
	g_assert_null(meet(&lab, lab.client->fingerprint, lab.server->fingerprint, true, ask_for_all));
	g_assert_null(lab.plain);
	lab_end(&lab);
}

static void ask_badly(Lab *lab, SyncTalk *talk)
{
	g_autoptr(GByteArray) body = g_byte_array_new();
	char byte;

	/* It could have a body. */
	request(talk, "POST " SYNC_LFS_PATH "/objects/batch", NULL);
	g_autofree char *head = answer(talk, body);
	g_assert_true(g_str_has_prefix(head, "HTTP/1.1 405 "));
	g_assert_cmpint(sync_talk_receive(talk, &byte, 1, NULL), <=, 0);
}

static void ask_nonsense(Lab *lab, SyncTalk *talk)
{
	char byte;

	request(talk, "understudy", NULL);
	g_assert_cmpint(sync_talk_receive(talk, &byte, 1, NULL), <=, 0);
}

static void test_ends_with_nonsense(void)
{
	Lab lab;

	lab_begin(&lab);
	g_assert_null(meet(&lab, lab.client->fingerprint, lab.server->fingerprint, true, ask_badly));
	lab.told = false;
	g_assert_null(meet(&lab, lab.client->fingerprint, lab.server->fingerprint, true, ask_nonsense));
	lab_end(&lab);
}

static void be_shown_out(Lab *lab, SyncTalk *talk)
{
	char byte;

	get(lab, talk, lab->id, "bytes=0-4", 0, 5, "HTTP/1.1 206 ");
	sync_giving_show_out(lab->giving);
	g_assert_cmpint(sync_talk_receive(talk, &byte, 1, NULL), <=, 0);
}

static void test_shows_out(void)
{
	Lab lab;

	lab_begin(&lab);
	g_assert_null(meet(&lab, lab.client->fingerprint, lab.server->fingerprint, true, be_shown_out));
	lab_end(&lab);
}

static void test_wrong_keys(void)
{
	Lab lab;

	lab_begin(&lab);
	/* Of the server: the client says so. */
	g_autoptr(GError) error = meet(&lab, lab.client->fingerprint, lab.client->fingerprint, true, NULL);
	g_assert_error(error, SYNC_ERROR, SYNC_ERROR_DENIED);
	/* Of the client: in TLS 1.3 his part of the handshake is over when he is judged. */
	lab.told = false;
	g_autoptr(GError) other = meet(&lab, lab.server->fingerprint, lab.server->fingerprint, true, NULL);
	g_assert_true(lab.refused);
	g_assert_null(lab.plain);
	lab_end(&lab);
}

static void say_nothing(Lab *lab, SyncTalk *talk)
{
}

/* A device of before serves whoever comes as HTTP. */
static void test_who_does_not_know_it(void)
{
	Lab lab;

	lab_begin(&lab);
	g_assert_null(meet(&lab, lab.client->fingerprint, lab.server->fingerprint, false, say_nothing));
	g_assert_nonnull(lab.plain);
	lab_end(&lab);
}

static void test_cancelled(void)
{
	int pair[2];
	Lab lab;
	g_autoptr(GCancellable) cancellable = g_cancellable_new();
	g_autoptr(GError) error = NULL;

	lab_begin(&lab);
	g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
	g_autoptr(GSocketConnection) silent = connection_of(pair[0]), base = connection_of(pair[1]);
	g_cancellable_cancel(cancellable);
	g_assert_null(sync_talk_dial(base, lab.client, NULL, SILENCE_S, cancellable, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
	lab_end(&lab);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/give/much-at-once", test_gives_much_at_once);
	g_test_add_func("/give/gives", test_gives);
	g_test_add_func("/give/ends-with-nonsense", test_ends_with_nonsense);
	g_test_add_func("/give/shows-out", test_shows_out);
	g_test_add_func("/give/wrong-keys", test_wrong_keys);
	g_test_add_func("/give/who-does-not-know-it", test_who_does_not_know_it);
	g_test_add_func("/give/cancelled", test_cancelled);
	return g_test_run();
}
