/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/peer/message.h - what travels over the peer link and while pairing, and the closed table of topics. Pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>

enum { SYNC_MESSAGE_MAX = 256 * 1024 };

typedef enum {
	SYNC_MESSAGE_PING,    /* serial comes back in the pong */
	SYNC_MESSAGE_PONG,
	SYNC_MESSAGE_PUBLISH, /* topic's new value; serial grows, so an older one that comes late is dropped */
	SYNC_MESSAGE_REQUEST, /* asks the owner of topic */
	SYNC_MESSAGE_ANSWER,  /* to request serial; error: "" or a D-Bus error name, then value holds text (s) */
	SYNC_MESSAGE_JOIN,    /* pairing, in this order: joiner's proof; */
	SYNC_MESSAGE_PAIR,    /* listener's proof and description; */
	SYNC_MESSAGE_OFFER,   /* joiner's description; */
	SYNC_MESSAGE_HELD,    /* listener: your key is on disk; */
	SYNC_MESSAGE_STORED,  /* joiner: so is yours; */
	SYNC_MESSAGE_DONE,    /* listener: paired. */
	SYNC_MESSAGE_NO,      /* either: refused, value holds text (s) */
} SyncMessageKind;

typedef struct {
	SyncMessageKind kind;
	char *topic;
	char *run;      /* PUBLISH: the sender's process, whose serials these are; REQUEST and ANSWER: the asker's */
	guint64 serial;
	char *error;
	GVariant *value; /* a{sv}, never NULL */
} SyncMessage;

void sync_message_clear(SyncMessage *message);

/* NULL strings become ""; @value may be NULL or floating. NULL and @error when it would be too large. */
GBytes *sync_message_encode(SyncMessageKind kind, const char *topic, const char *run, guint64 serial, const char *error_name,
			    GVariant *value, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Refuses what is too large, not in normal form, of an unknown kind or topic, or has values of the wrong type. */
bool sync_message_decode(GBytes *bytes, SyncMessage *ret_message, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Whether @topic exists and is published (else: requested). */
bool sync_topic_is_published(const char *topic);
bool sync_topic_is_requested(const char *topic);
/* It is between the two of these daemons: nobody else publishes, asks or answers it. */
bool sync_topic_is_own(const char *topic);

/* Whether @value may be published or sent under @topic: known keys have their types, the whole is not too large. */
bool sync_topic_check(const char *topic, GVariant *value, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SyncMessage, sync_message_clear)
