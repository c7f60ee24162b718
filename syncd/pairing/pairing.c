/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/pairing/pairing.c - the pairing conversation. Each runs in a thread of its own with a deadline, so that it reads as it is drawn. */
#include "syncd/pairing/pairing.h"

#include <string.h>

#include "syncd/error.h"
#include "syncd/files/file.h"
#include "syncd/peer/listen.h"
#include "syncd/peer/message.h"
#include "syncd/pairing/proof.h"
#include "syncd/peer/tls.h"

enum { TRIES_MAX = 5, TALKS_MAX = 8, TALK_S = 10, DIAL_S = 5 };

/* What the threads of one pairing share. */
typedef struct {
	gint refs;
	gint tries;  /* proofs looked at */
	gint taken;  /* a right proof has come, or none can any more: whoever sets it decides how the pairing ends */
	gint closed;
	char *code;
	char *own; /* fingerprint */
	GVariant *description;
	char *record_path;
} Shared;

struct SyncPairing {
	SyncListener *listener;
	Shared *shared;
	guint expiry;
	SyncPairingDone done;
	gpointer user_data;
	GCancellable *alive;
	GQueue talks; /* of GTask*, not held: the longest first */
};

typedef struct {
	Shared *shared;
	GIOStream *tls;
	char *other; /* fingerprint */
	bool took;   /* its proof was right and the first: its end is the pairing's */
} Talk;

static Shared *shared_ref(Shared *shared)
{
	g_atomic_int_inc(&shared->refs);
	return shared;
}

static void shared_unref(Shared *shared)
{
	if (!g_atomic_int_dec_and_test(&shared->refs))
		return;
	g_free(shared->code);
	g_free(shared->own);
	g_variant_unref(shared->description);
	g_free(shared->record_path);
	g_free(shared);
}

static Shared *shared_new(const SyncKey *key, const char *code, GVariant *description, const char *record_path)
{
	Shared *shared = g_new0(Shared, 1);

	shared->refs = 1;
	shared->code = g_strdup(code);
	shared->own = g_strdup(key->fingerprint);
	shared->description = g_variant_ref_sink(description);
	shared->record_path = g_strdup(record_path);
	return shared;
}

static void talk_free(gpointer data)
{
	Talk *talk = data;

	shared_unref(talk->shared);
	g_object_unref(talk->tls);
	g_free(talk->other);
	g_free(talk);
}

static Talk *talk_new(Shared *shared, GIOStream *tls, const char *other)
{
	Talk *talk = g_new0(Talk, 1);

	talk->shared = shared_ref(shared);
	talk->tls = g_object_ref(tls);
	talk->other = g_strdup(other);
	return talk;
}

/* ---- framing: a length of four bytes, then a message ---- */

static bool talk_send(GIOStream *tls, SyncMessageKind kind, GVariant *value, GCancellable *cancellable, GError **error)
{
	g_autoptr(GBytes) bytes = sync_message_encode(kind, NULL, NULL, 0, NULL, value, error);

	if (!bytes)
		return false;
	guint32 length_be = GUINT32_TO_BE((guint32)g_bytes_get_size(bytes));
	GOutputStream *output = g_io_stream_get_output_stream(tls);
	return g_output_stream_write_all(output, &length_be, sizeof length_be, NULL, cancellable, error) &&
	       g_output_stream_write_all(output, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), NULL, cancellable, error);
}

static bool read_exactly(GIOStream *tls, gpointer buffer, gsize length, GCancellable *cancellable, GError **error)
{
	gsize got;

	if (!g_input_stream_read_all(g_io_stream_get_input_stream(tls), buffer, length, &got, cancellable, error))
		return false;
	if (got == length)
		return true;
	g_set_error(error, SYNC_ERROR, SYNC_ERROR_NOT_REACHABLE, "the other device hung up");
	return false;
}

/* Reads one message, which must be of @kind. NO becomes the error that it tells of. */
static GVariant *talk_read(GIOStream *tls, SyncMessageKind kind, GCancellable *cancellable, GError **error)
{
	guint32 length_be;
	g_auto(SyncMessage) message = { 0 };

	if (!read_exactly(tls, &length_be, sizeof length_be, cancellable, error))
		return NULL;
	gsize length = GUINT32_FROM_BE(length_be);
	if (length == 0 || length > SYNC_MESSAGE_MAX) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "malformed message");
		return NULL;
	}
	g_autofree char *buffer = g_malloc(length);
	if (!read_exactly(tls, buffer, length, cancellable, error))
		return NULL;
	g_autoptr(GBytes) bytes = g_bytes_new(buffer, length);
	if (!sync_message_decode(bytes, &message, error))
		return NULL;
	if (message.kind == SYNC_MESSAGE_NO) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_DENIED, "refused by the other device: this is not, or no longer, its code");
		return NULL;
	}
	if (message.kind != kind) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "unexpected message");
		return NULL;
	}
	return g_variant_ref(message.value);
}

static void talk_refuse(GIOStream *tls, GCancellable *cancellable)
{
	(void)talk_send(tls, SYNC_MESSAGE_NO, NULL, cancellable, NULL);
}

static GVariant *proof_value(const char *proof, GVariant *description)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", "proof", g_variant_new_string(proof));
	if (description)
		g_variant_builder_add(&builder, "{sv}", "description", description);
	return g_variant_builder_end(&builder);
}

static bool proof_matches(GVariant *value, const char *expected)
{
	const char *proof;

	return g_variant_lookup(value, "proof", "&s", &proof) && sync_proof_equal(proof, expected);
}

/* A conversation has a deadline as a whole: a thread waits for it on the cancellable. */
static gboolean talk_late(gpointer cancellable)
{
	g_cancellable_cancel(cancellable);
	return G_SOURCE_REMOVE;
}

static guint talk_deadline(GCancellable *cancellable)
{
	return g_timeout_add_seconds_full(G_PRIORITY_DEFAULT, TALK_S, talk_late, g_object_ref(cancellable), g_object_unref);
}

static void deadline_over(gpointer data)
{
	GSource *source = g_main_context_find_source_by_id(NULL, GPOINTER_TO_UINT(data));

	if (source)
		g_source_destroy(source);
}

/* ---- the listener ---- */

/* Terms and lines of history are told apart by the devices' ids; a device.conf copied as it is would make them one. */
static bool ids_differ(const Shared *shared, const SyncRecord *record, GError **error)
{
	const char *own = "";

	(void)g_variant_lookup(shared->description, "id", "&s", &own);
	if (strcmp(own, record->id) != 0)
		return true;
	g_set_error(error, SYNC_ERROR, SYNC_ERROR_DENIED, "same-id: both devices have the id \"%s\" in device.conf; each needs its own", own);
	return false;
}

static bool take(Shared *shared)
{
	return g_atomic_int_compare_and_exchange(&shared->taken, 0, 1);
}

static SyncRecord *listener_talk(Talk *talk, GCancellable *cancellable, GError **error)
{
	Shared *shared = talk->shared;
	g_autofree char *join = sync_proof_make(SYNC_PROOF_JOIN, shared->code, shared->own, talk->other);
	g_autofree char *pair = sync_proof_make(SYNC_PROOF_PAIR, shared->code, shared->own, talk->other);
	g_autofree char *held_path = g_strconcat(shared->record_path, ".held", NULL);
	g_autoptr(GVariant) proof = talk_read(talk->tls, SYNC_MESSAGE_JOIN, cancellable, error);

	if (!proof)
		return NULL;
	if (g_atomic_int_get(&shared->closed) || g_atomic_int_add(&shared->tries, 1) >= TRIES_MAX || !proof_matches(proof, join) ||
	    g_str_equal(shared->own, talk->other)) {
		talk_refuse(talk->tls, cancellable);
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_DENIED, "a wrong code was tried");
		return NULL;
	}
	if (!take(shared)) {
		talk_refuse(talk->tls, cancellable);
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "the code is used up");
		return NULL;
	}
	talk->took = true;
	if (!talk_send(talk->tls, SYNC_MESSAGE_PAIR, proof_value(pair, shared->description), cancellable, error))
		return NULL;
	g_autoptr(GVariant) offer = talk_read(talk->tls, SYNC_MESSAGE_OFFER, cancellable, error);
	g_autoptr(SyncRecord) record = offer ? sync_record_new(offer, talk->other, false, error) : NULL;
	if (!record || !ids_differ(shared, record, error) || !sync_record_save(record, held_path, error)) {
		talk_refuse(talk->tls, cancellable);
		return NULL;
	}
	if (!talk_send(talk->tls, SYNC_MESSAGE_HELD, NULL, cancellable, error)) {
		(void)sync_file_remove(held_path, NULL);
		return NULL;
	}
	g_autoptr(GVariant) stored = talk_read(talk->tls, SYNC_MESSAGE_STORED, cancellable, error);
	bool ok = stored && sync_record_save(record, shared->record_path, error);
	(void)sync_file_remove(held_path, NULL);
	if (!ok) {
		if (stored)
			talk_refuse(talk->tls, cancellable);
		return NULL;
	}
	/* From here on the pairing stands, whether or not the joiner hears it. */
	(void)talk_send(talk->tls, SYNC_MESSAGE_DONE, NULL, cancellable, NULL);
	(void)g_io_stream_close(talk->tls, cancellable, NULL);
	return g_steal_pointer(&record);
}

static void listener_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
	GError *error = NULL;
	SyncRecord *record = listener_talk(data, cancellable, &error);

	if (record)
		g_task_return_pointer(task, record, (GDestroyNotify)sync_record_free);
	else
		g_task_return_error(task, error);
}

static void pairing_end(SyncPairing *pairing, SyncRecord *record, const char *outcome, const char *text)
{
	SyncPairingDone done = pairing->done;
	gpointer user_data = pairing->user_data;

	g_atomic_int_set(&pairing->shared->closed, 1);
	done(record, outcome, text, user_data);
}

static void listener_talked(GObject *source, GAsyncResult *result, gpointer user_data)
{
	g_autoptr(GCancellable) alive = user_data;
	SyncPairing *pairing = g_object_get_data(G_OBJECT(alive), "pairing"); /* NULL when it is over */
	if (pairing)
		g_queue_remove(&pairing->talks, result);
	const Talk *talk = g_task_get_task_data(G_TASK(result));
	g_autoptr(GError) error = NULL;
	SyncRecord *record = g_task_propagate_pointer(G_TASK(result), &error);

	if (!pairing) {
		sync_record_free(record);
		return;
	}
	if (record) {
		pairing_end(pairing, record, "paired", "paired");
		return;
	}
	g_message("pairing: %s", error->message);
	/* A wrong code does not end a pairing that another device has begun with the right one. */
	if (talk->took)
		pairing_end(pairing, NULL, "failed", "the pairing was broken off; start again with a new code");
	else if (g_atomic_int_get(&pairing->shared->tries) >= TRIES_MAX && sync_pairing_withdraw(pairing))
		pairing_end(pairing, NULL, "failed", "too many wrong codes");
}

static void somebody_came(GIOStream *tls, const char *fingerprint, GSocketAddress *local, GSocketAddress *remote, gpointer user_data)
{
	SyncPairing *pairing = user_data;

	/* Each holds a thread. Whoever knows the code says so at once: who has been silent longest makes room. */
	if (g_atomic_int_get(&pairing->shared->taken))
		return;
	if (pairing->talks.length >= TALKS_MAX)
		g_cancellable_cancel(g_task_get_cancellable(g_queue_pop_head(&pairing->talks)));
	g_autoptr(GCancellable) cancellable = g_cancellable_new();
	g_autoptr(GTask) task = g_task_new(NULL, cancellable, listener_talked, g_object_ref(pairing->alive));

	g_task_set_check_cancellable(task, FALSE); /* what is stored is stored, late or not */
	g_task_set_task_data(task, talk_new(pairing->shared, tls, fingerprint), talk_free);
	g_object_set_data_full(G_OBJECT(task), "deadline", GUINT_TO_POINTER(talk_deadline(cancellable)), deadline_over);
	g_queue_push_tail(&pairing->talks, task);
	g_task_run_in_thread(task, listener_thread);
}

static gboolean expired(gpointer user_data)
{
	SyncPairing *pairing = user_data;

	pairing->expiry = 0;
	if (sync_pairing_withdraw(pairing)) /* else somebody came in time; that talk has a deadline of its own */
		pairing_end(pairing, NULL, "expired", "the pairing code expired");
	return G_SOURCE_REMOVE;
}

SyncPairing *sync_pairing_new(const char *const *hosts, guint port, const SyncKey *key, const char *code, guint lifetime_s,
			      GVariant *description, const char *record_path, SyncPairingDone done, gpointer user_data, GError **error)
{
	SyncPairing *pairing = g_new0(SyncPairing, 1);

	pairing->shared = shared_new(key, code, description, record_path);
	pairing->done = done;
	pairing->user_data = user_data;
	pairing->alive = g_cancellable_new();
	g_object_set_data(G_OBJECT(pairing->alive), "pairing", pairing);
	pairing->expiry = g_timeout_add_seconds(lifetime_s, expired, pairing);
	pairing->listener = sync_listener_new(hosts, port, key, NULL, somebody_came, NULL, pairing, error);
	if (!pairing->listener) {
		sync_pairing_free(pairing);
		return NULL;
	}
	return pairing;
}

bool sync_pairing_withdraw(SyncPairing *pairing)
{
	return take(pairing->shared);
}

void sync_pairing_free(SyncPairing *pairing)
{
	if (!pairing)
		return;
	g_atomic_int_set(&pairing->shared->closed, 1);
	sync_listener_free(pairing->listener);
	g_clear_handle_id(&pairing->expiry, g_source_remove);
	g_object_set_data(G_OBJECT(pairing->alive), "pairing", NULL);
	g_object_unref(pairing->alive);
	g_queue_clear(&pairing->talks);
	shared_unref(pairing->shared);
	g_free(pairing);
}

/* ---- the joiner ---- */

static SyncRecord *joiner_talk(Talk *talk, GCancellable *cancellable, GError **error)
{
	Shared *shared = talk->shared;
	g_autofree char *join = sync_proof_make(SYNC_PROOF_JOIN, shared->code, talk->other, shared->own);
	g_autofree char *pair = sync_proof_make(SYNC_PROOF_PAIR, shared->code, talk->other, shared->own);

	if (!talk_send(talk->tls, SYNC_MESSAGE_JOIN, proof_value(join, NULL), cancellable, error))
		return NULL;
	g_autoptr(GVariant) answer = talk_read(talk->tls, SYNC_MESSAGE_PAIR, cancellable, error);
	if (!answer)
		return NULL;
	g_autoptr(GVariant) description = g_variant_lookup_value(answer, "description", G_VARIANT_TYPE_VARDICT);
	if (!proof_matches(answer, pair) || !description) {
		talk_refuse(talk->tls, cancellable);
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_DENIED, "the other device does not know the code: somebody may be in between");
		return NULL;
	}
	g_autoptr(SyncRecord) record = sync_record_new(description, talk->other, true, error);
	if (!record || !ids_differ(shared, record, error)) {
		talk_refuse(talk->tls, cancellable);
		return NULL;
	}
	if (!talk_send(talk->tls, SYNC_MESSAGE_OFFER, shared->description, cancellable, error))
		return NULL;
	g_autoptr(GVariant) held = talk_read(talk->tls, SYNC_MESSAGE_HELD, cancellable, error);
	if (!held)
		return NULL;
	g_autoptr(GVariant) done = NULL;
	if (!sync_record_save(record, shared->record_path, error))
		talk_refuse(talk->tls, cancellable);
	else if (talk_send(talk->tls, SYNC_MESSAGE_STORED, NULL, cancellable, error))
		done = talk_read(talk->tls, SYNC_MESSAGE_DONE, cancellable, error);
	if (!done) {
		sync_record_save_no_more();
		(void)sync_file_remove(shared->record_path, NULL);
		return NULL;
	}
	(void)g_io_stream_close(talk->tls, cancellable, NULL);
	return g_steal_pointer(&record);
}

static void joiner_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
	GError *error = NULL;
	SyncRecord *record = joiner_talk(data, cancellable, &error);

	if (record) {
		g_task_return_pointer(task, record, (GDestroyNotify)sync_record_free);
		return;
	}
	if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
		g_clear_error(&error);
		error = g_error_new_literal(SYNC_ERROR, SYNC_ERROR_TIMED_OUT, "the other device did not answer in time");
	} else if (error->domain != SYNC_ERROR) {
		GError *told = g_error_new(SYNC_ERROR, SYNC_ERROR_NOT_REACHABLE, "the pairing was broken off: %s", error->message);
		g_error_free(error);
		error = told;
	}
	g_task_return_error(task, error);
}

typedef struct {
	Shared *shared;
	GTask *task;
} Joining;

static void joiner_connected(GObject *source, GAsyncResult *result, gpointer user_data)
{
	Joining *joining = user_data;
	g_autofree char *fingerprint = NULL;
	g_autoptr(GError) error = NULL;
	g_autoptr(GIOStream) tls = sync_dial_finish(result, &fingerprint, &error);

	if (!tls) {
		g_task_return_new_error(joining->task, SYNC_ERROR, SYNC_ERROR_NOT_REACHABLE, "no device waits for a pairing there: %s",
					error->message);
	} else {
		GCancellable *cancellable = g_task_get_cancellable(joining->task);
		g_object_set_data_full(G_OBJECT(joining->task), "deadline", GUINT_TO_POINTER(talk_deadline(cancellable)), deadline_over);
		g_task_set_task_data(joining->task, talk_new(joining->shared, tls, fingerprint), talk_free);
		g_task_run_in_thread(joining->task, joiner_thread);
	}
	g_object_unref(joining->task);
	shared_unref(joining->shared);
	g_free(joining);
}

void sync_join_async(const char *host, guint port, const SyncKey *key, const char *code, GVariant *description, const char *record_path,
		     GAsyncReadyCallback done, gpointer user_data)
{
	g_autoptr(GCancellable) cancellable = g_cancellable_new();
	Joining *joining = g_new0(Joining, 1);

	joining->shared = shared_new(key, code, description, record_path);
	joining->task = g_task_new(NULL, cancellable, done, user_data);
	g_task_set_check_cancellable(joining->task, FALSE);
	sync_dial_async(host, port, DIAL_S, key, NULL, NULL, joiner_connected, joining);
}

SyncRecord *sync_join_finish(GAsyncResult *result, GError **error)
{
	return g_task_propagate_pointer(G_TASK(result), error);
}
