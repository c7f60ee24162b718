/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/share.c - the two notifyd, through the supervisors: no daemon gives orders to another, so it is us who carry.
 *
 * What notifyd's Heads say is published under `events`; the other notifyd sees that it lacks something and asks (AskPeer), which is a request of the
 * topic `outbox`, answered there by TellPeer.
 */
#include "supervisor/share.h"

#include <string.h>

#define NOTIFY_PATH "/org/understudy/Notify1"
#define NOTIFY_INTERFACE "org.understudy.Notify1"
#define CALL_MS 5000
#define FOLLOW_MS 1000
#define PEER_MS 4000 /* notifyd asks again after 5 s */

struct Share {
	Supervisor *supervisor;
	BusMirror *mirror;
	BusSubscription *asks;
	GVariant *place; /* as notifyd was told last; NULL: not yet */
	GVariant *heads; /* as the peer was told last */
	GQueue following; /* of Following: who waits until notifyd has the settings */
};

static void call(Share *share, const char *method, GVariant *args)
{
	(void)bus_link_call(share->supervisor->notify_link, NULL, NOTIFY_PATH, NOTIFY_INTERFACE, method, args, CALL_MS, NULL, NULL);
}

static bool leads(const char *role)
{
	return g_str_equal(role, "standalone") || g_str_equal(role, "master") || g_str_equal(role, "taking-over");
}

static GVariant *place_of(Share *share)
{
	Supervisor *supervisor = share->supervisor;
	Peer *peer = supervisor->peer;
	const char *id = peer_id(peer), *peer_role = "";
	GVariant *state = peer_is_connected(peer) ? peer_state(peer) : NULL;
	g_autoptr(GVariant) heads = peer_published(peer, "events");
	GVariantBuilder builder;

	if (state)
		(void)g_variant_lookup(state, "role", "&s", &peer_role);
	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", "leads", g_variant_new_boolean(leads(role_name(supervisor_told(supervisor)->role))));
	g_variant_builder_add(&builder, "{sv}", "paired", g_variant_new_boolean(id && *id));
	g_variant_builder_add(&builder, "{sv}", "peer", g_variant_new_string(id ? id : ""));
	g_variant_builder_add(&builder, "{sv}", "connected", g_variant_new_boolean(peer_is_connected(peer)));
	g_variant_builder_add(&builder, "{sv}", "peer_leads", g_variant_new_boolean(leads(peer_role)));
	if (heads)
		g_variant_builder_add(&builder, "{sv}", "heads", heads);
	return g_variant_ref_sink(g_variant_builder_end(&builder));
}

static bool take(GVariant **place, GVariant *value)
{
	if (*place && g_variant_equal(*place, value))
		return false;
	g_clear_pointer(place, g_variant_unref);
	*place = g_variant_ref(value);
	return true;
}

void share_look(Share *share)
{
	Supervisor *supervisor = share->supervisor;
	GVariant *heads = bus_mirror_get(share->mirror, "Heads", "a{sv}");

	if (bus_link_is_up(supervisor->notify_link)) {
		g_autoptr(GVariant) place = place_of(share);
		if (take(&share->place, place))
			call(share, "SetPlace", g_variant_new("(@a{sv})", place));
	}
	if (heads && bus_link_is_up(peer_link(supervisor->peer)) && take(&share->heads, heads))
		(void)bus_link_call(peer_link(supervisor->peer), NULL, "/org/understudy/Sync1", "org.understudy.Peer1", "Publish",
				    g_variant_new("(s@a{sv})", "events", heads), CALL_MS, NULL, NULL);
}

void share_forget(Share *share)
{
	g_clear_pointer(&share->heads, g_variant_unref);
	share_look(share);
}

void share_reload(Share *share)
{
	if (bus_link_is_up(share->supervisor->notify_link))
		call(share, "Reload", NULL);
}

/* ---- Who waits until it has heard ---- */

typedef struct {
	Share *share;
	GList link;
	guint timer;
	BusPending *ping;
	void (*done)(gpointer user_data);
	gpointer user_data;
} Following;

static void following_free(Following *following)
{
	g_queue_unlink(&following->share->following, &following->link);
	bus_pending_cancel(following->ping);
	g_source_remove(following->timer);
	g_free(following);
}

static void followed(Following *following)
{
	following->done(following->user_data);
	following_free(following);
}

static void on_ping(GVariant *values, const GError *error, gpointer user_data)
{
	Following *following = user_data;

	following->ping = NULL;
	if (!error) /* else it is gone, and its next life is asked */
		followed(following);
}

static gboolean on_follow_time(gpointer user_data)
{
	followed(user_data);
	return G_SOURCE_CONTINUE; /* removed with it */
}

static void ping(Following *following)
{
	following->ping = bus_link_call(following->share->supervisor->notify_link, NULL, NOTIFY_PATH, "org.freedesktop.DBus.Peer", "Ping", NULL, FOLLOW_MS,
					on_ping, following);
}

void share_follow(Share *share, void (*done)(gpointer user_data), gpointer user_data)
{
	Following *following = g_new0(Following, 1);

	*following = (Following){ .share = share, .done = done, .user_data = user_data };
	following->link.data = following;
	g_queue_push_tail_link(&share->following, &following->link);
	following->timer = g_timeout_add(FOLLOW_MS, on_follow_time, following);
	if (bus_link_is_up(share->supervisor->notify_link))
		ping(following);
}

void share_begin(Share *share)
{
	/* The settings that it read when it began, or that the supervisor before us had, may not be ours. */
	share_reload(share);
	g_clear_pointer(&share->place, g_variant_unref);
	share_look(share);
	for (GList *each = share->following.head; each; each = each->next)
		if (!((Following *)each->data)->ping)
			ping(each->data);
}

/* ---- We ask ---- */

static void on_answered(GVariant *values, const GError *error, gpointer user_data)
{
	Share *share = user_data;
	if (error)
		g_debug("the other device's events: %s", error->message);
	else
		call(share, "PeerTold", g_variant_new("(@a{sv})", values));
}

static void on_ask(const char *path, const char *member, GVariant *args, gpointer user_data)
{
	Share *share = user_data;
	g_autoptr(GVariant) question = g_variant_get_child_value(args, 0);
	if (peer_is_connected(share->supervisor->peer))
		peer_request(share->supervisor->peer, "outbox", question, PEER_MS, on_answered, share);
}

/* ---- We are asked ---- */

typedef struct {
	Supervisor *supervisor;
	guint64 serial;
} Question;

static void on_told(GVariant *values, const GError *error, gpointer user_data)
{
	Question *question = user_data;
	g_autoptr(GVariant) told = values ? g_variant_get_child_value(values, 0) : NULL;
	peer_answer(question->supervisor->peer, question->serial, told, error);
	g_free(question);
}

GVariant *share_answer(Supervisor *supervisor, guint64 serial, GVariant *question, GError **error)
{
	Question *asked = g_new0(Question, 1);
	*asked = (Question){ supervisor, serial };
	(void)bus_link_call(supervisor->notify_link, NULL, NOTIFY_PATH, NOTIFY_INTERFACE, "TellPeer", g_variant_new("(@a{sv})", question), PEER_MS, on_told,
			    asked);
	return NULL;
}

static void on_mirror(BusMirror *mirror, gpointer user_data)
{
	share_look(user_data);
}

Share *share_new(Supervisor *supervisor)
{
	Share *share = g_new0(Share, 1);
	share->supervisor = supervisor;
	share->mirror = bus_mirror_new(supervisor->notify_link, NULL, NOTIFY_PATH, NOTIFY_INTERFACE, on_mirror, share);
	share->asks = bus_link_subscribe(supervisor->notify_link, NULL, NOTIFY_PATH, NOTIFY_INTERFACE, "AskPeer", on_ask, share);
	return share;
}

void share_free(Share *share)
{
	if (!share)
		return;
	bus_mirror_free(share->mirror);
	bus_subscription_free(share->asks);
	g_clear_pointer(&share->place, g_variant_unref);
	g_clear_pointer(&share->heads, g_variant_unref);
	while (share->following.head)
		following_free(share->following.head->data);
	g_free(share);
}
