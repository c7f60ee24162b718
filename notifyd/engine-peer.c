/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/engine-peer.c - the other device: its events and messages here, ours there, and which are whose task. */
#include <string.h>

#include "engine-private.h"

#define HEADS_MS       200   /* the other is told that there is more not more often than this */
#define ASK_AGAIN_MS   5000  /* a question that got no answer */
#define START_MS       30000 /* without a word of the supervisor for so long, we are alone */
#define MERGE_MS       10000 /* the other device is there, and has not told what it delivered: so long nothing is sent that was there before us */
#define GRACE_MS       5000  /* the other may be back at once: only then its messages are taken over */
#define ALIVE_S        60    /* how exactly we know afterwards when we were last there */
#define AWAY_MIN_MS    60000
#define BOOT_ID        "/proc/sys/kernel/random/boot_id"

static gint64 now_ms(void)
{
	return g_get_real_time() / 1000;
}

typedef struct {
	NotifyOrder order;
	char *value;
} Alive;

static bool alive_work(NotifyStore *store, NotifyOrder *order, GError **error)
{
	return notify_store_remember(store, "alive", ((Alive *)order)->value, error);
}

static void alive_done(NotifyOrder *order, const GError *error)
{
	Alive *alive = (Alive *)order;

	if (error)
		g_debug("%s", error->message);
	g_free(alive->value);
	g_free(alive);
}

/* ---- Heads ---- */

static gboolean on_heads_time(gpointer user_data)
{
	NotifyEngine *engine = user_data;

	engine->heads_timer = 0;
	if (engine->events.heads)
		engine->events.heads(engine->events.user_data);
	return G_SOURCE_REMOVE;
}

void notify_engine_news(NotifyEngine *engine)
{
	if (!engine->heads_timer)
		engine->heads_timer = g_timeout_add(HEADS_MS, on_heads_time, engine);
}

GVariant *notify_engine_heads(NotifyEngine *engine)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", "store", g_variant_new_string(notify_store_id(engine->store)));
	g_variant_builder_add(&builder, "{sv}", "newest", g_variant_new_uint64(notify_store_newest(engine->store)));
	g_variant_builder_add(&builder, "{sv}", "change", g_variant_new_uint64(notify_store_change(engine->store)));
	g_variant_builder_add(&builder, "{sv}", "mark", g_variant_new_uint64(notify_store_mark(engine->store)));
	return g_variant_builder_end(&builder);
}

GVariant *notify_engine_tell(NotifyEngine *engine, GVariant *question, GError **error)
{
	NotifySeen after = { 0 };
	const char *store = "";

	(void)g_variant_lookup(question, "store", "&s", &store);
	(void)g_variant_lookup(question, "event", "t", &after.event);
	(void)g_variant_lookup(question, "change", "t", &after.change);
	(void)g_variant_lookup(question, "mark", "t", &after.mark);
	if (!g_str_equal(store, notify_store_id(engine->store)))
		after = (NotifySeen){ 0 }; /* the numbers of a database that is no more */
	return notify_store_tell(engine->store, &after, error);
}

/* ---- Whose task ---- */

static void enable(NotifyEngine *engine)
{
	g_clear_handle_id(&engine->start_timer, g_source_remove);
	notify_dispatch_enable(engine->dispatch, true);
}

static gboolean on_start_time(gpointer user_data)
{
	NotifyEngine *engine = user_data;

	engine->start_timer = 0;
	enable(engine);
	return G_SOURCE_REMOVE;
}

/* Rows of the other become ours, or those of ours that failed the other's. */
typedef struct {
	NotifyOrder order;
	NotifyEngine *engine;
	char *owner, *failed_of;
	guint n;
} Claim;

static bool claim_work(NotifyStore *store, NotifyOrder *order, GError **error)
{
	Claim *claim = (Claim *)order;

	return notify_store_claim(store, claim->owner, claim->failed_of, &claim->n, error);
}

static void claim_done(NotifyOrder *order, const GError *error)
{
	Claim *claim = (Claim *)order;
	NotifyEngine *engine = claim->engine;
	const char *s = claim->n == 1 ? "" : "s", *are = claim->n == 1 ? "is" : "are";

	if (error)
		g_warning("%s", error->message);
	else if (claim->n > 0 && claim->failed_of)
		g_message("%u message%s could not be sent from here and %s left to the Master", claim->n, s, are);
	else if (claim->n > 0)
		g_message("%u message%s of the other device %s sent from here", claim->n, s, are);
	if (!error && claim->n > 0)
		notify_engine_news(engine);
	if (!claim->failed_of)
		notify_dispatch_look(engine->dispatch);
	g_free(claim->owner);
	g_free(claim->failed_of);
	g_free(claim);
}

static void claim(NotifyEngine *engine, const char *owner, const char *failed_of)
{
	Claim *claim = g_new0(Claim, 1);

	*claim = (Claim){ { .work = claim_work, .done = claim_done }, engine, g_strdup(owner), g_strdup(failed_of), 0 };
	notify_writer_order(engine->writer, &claim->order);
}

static gboolean on_grace_time(gpointer user_data)
{
	NotifyEngine *engine = user_data;

	engine->grace_timer = 0;
	if (outbox_takes_over(&engine->place))
		claim(engine, engine->settings->id, NULL);
	return G_SOURCE_REMOVE;
}

void notify_engine_hand_over(NotifyEngine *engine)
{
	if (outbox_hands_over(&engine->place))
		claim(engine, engine->place.peer, engine->settings->id);
}

/* ---- What the other has ---- */

static bool is_behind(NotifyEngine *engine, NotifySeen *ret_seen)
{
	g_autoptr(GError) error = NULL;

	if (!engine->place.connected || !engine->peer_store)
		return false;
	if (!notify_store_seen(engine->store, engine->peer_store, ret_seen, &error)) {
		g_warning("%s", error->message);
		return false;
	}
	return ret_seen->event < engine->peer.event || ret_seen->change < engine->peer.change || ret_seen->mark < engine->peer.mark;
}

static void ask(NotifyEngine *engine);

static gboolean on_ask_time(gpointer user_data)
{
	NotifyEngine *engine = user_data;

	engine->ask_timer = 0;
	engine->asking = false;
	ask(engine);
	return G_SOURCE_REMOVE;
}

static void ask(NotifyEngine *engine)
{
	GVariantBuilder builder;
	NotifySeen seen = { 0 };

	if (engine->asking)
		return;
	if (!is_behind(engine, &seen)) {
		if (engine->place.known && (engine->peer_store || !engine->paired))
			enable(engine); /* nothing that the other had done is unknown here */
		return;
	}
	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", "store", g_variant_new_string(engine->peer_store));
	g_variant_builder_add(&builder, "{sv}", "event", g_variant_new_uint64(seen.event));
	g_variant_builder_add(&builder, "{sv}", "change", g_variant_new_uint64(seen.change));
	g_variant_builder_add(&builder, "{sv}", "mark", g_variant_new_uint64(seen.mark));
	g_autoptr(GVariant) question = g_variant_ref_sink(g_variant_builder_end(&builder));

	engine->asking = true;
	engine->ask_timer = g_timeout_add(ASK_AGAIN_MS, on_ask_time, engine);
	if (engine->events.ask)
		engine->events.ask(question, engine->events.user_data);
}

/* What people did there. Those of one name together. */
static void take_marks(NotifyEngine *engine, const NotifyLearnt *learnt)
{
	g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(guint64));

	if (learnt->read->len == 0 && learnt->acknowledged->len == 0)
		return;
	notify_engine_marked(engine, learnt->read);
	if (learnt->read->len > 0 && engine->events.marked)
		engine->events.marked(learnt->read, engine->events.user_data);
	for (guint i = 0; i < learnt->acknowledged->len; i++) {
		const NotifyAcknowledged *each = learnt->acknowledged->pdata[i];
		const NotifyAcknowledged *next = i + 1 < learnt->acknowledged->len ? learnt->acknowledged->pdata[i + 1] : NULL;

		g_array_append_val(ids, each->id);
		if (next && g_str_equal(next->who, each->who))
			continue;
		if (engine->events.acknowledged)
			engine->events.acknowledged(ids, each->who, engine->events.user_data);
		g_array_set_size(ids, 0);
	}
}

typedef struct {
	NotifyOrder order;
	NotifyEngine *engine;
	GVariant *answer;
	NotifyLearnt learnt;
	NotifyTold done;
	gpointer user_data;
} Learning;

static bool learn_work(NotifyStore *store, NotifyOrder *order, GError **error)
{
	Learning *learning = (Learning *)order;

	notify_learnt_clear(&learning->learnt);
	learning->learnt = (NotifyLearnt){ 0 };
	return notify_store_learn(store, learning->answer, &learning->learnt, error);
}

static void take_learnt(NotifyEngine *engine, const NotifyLearnt *learnt)
{
	if (learnt->events->len > 0 && engine->events.counts)
		engine->events.counts(engine->events.user_data);
	for (guint i = 0; i < learnt->events->len; i++) {
		const NotifyEvent *event = learnt->events->pdata[i];

		rules_event(engine->rules, event, g_get_monotonic_time(), NULL); /* the other device tells of it, and knows here what was told */
		notify_engine_light(engine, event);
		if (engine->events.raised)
			engine->events.raised(event, engine->events.user_data);
	}
	take_marks(engine, learnt);
	g_clear_handle_id(&engine->ask_timer, g_source_remove);
	engine->asking = false;
	notify_dispatch_look(engine->dispatch); /* some may be our task now */
	ask(engine);
}

static void learn_done(NotifyOrder *order, const GError *error)
{
	Learning *learning = (Learning *)order;

	if (!error)
		take_learnt(learning->engine, &learning->learnt);
	learning->done(error, learning->user_data);
	notify_learnt_clear(&learning->learnt);
	g_variant_unref(learning->answer);
	g_free(learning);
}

void notify_engine_told(NotifyEngine *engine, GVariant *answer, NotifyTold done, gpointer user_data)
{
	Learning *learning = g_new0(Learning, 1);

	*learning = (Learning){ { .work = learn_work, .done = learn_done }, engine, g_variant_ref(answer), { 0 }, done, user_data };
	notify_writer_order(engine->writer, &learning->order);
}

static void take_heads(NotifyEngine *engine, GVariant *heads)
{
	const char *store = "";

	if (!heads || !g_variant_lookup(heads, "store", "&s", &store) || !*store)
		return;
	if (g_strcmp0(store, engine->peer_store) != 0) {
		g_free(engine->peer_store);
		engine->peer_store = g_strdup(store);
		engine->peer = (NotifySeen){ 0 };
	}
	(void)g_variant_lookup(heads, "newest", "t", &engine->peer.event);
	(void)g_variant_lookup(heads, "change", "t", &engine->peer.change);
	(void)g_variant_lookup(heads, "mark", "t", &engine->peer.mark);
}

/* ---- When nobody was there ---- */

static void note_alive(NotifyEngine *engine)
{
	g_autofree char *boot = NULL;
	Alive *alive;

	if (!g_file_get_contents(BOOT_ID, &boot, NULL, NULL))
		return;
	g_strstrip(boot);
	alive = g_new0(Alive, 1);
	*alive = (Alive){ { .work = alive_work, .done = alive_done }, g_strdup_printf("%s %" G_GINT64_FORMAT, boot, now_ms()) };
	notify_writer_order(engine->writer, &alive->order);
}

static gboolean on_alive_time(gpointer user_data)
{
	NotifyEngine *engine = user_data;

	if (engine->returned) /* not before it was looked at */
		note_alive(engine);
	return G_SOURCE_CONTINUE;
}

static char *words_of(gint64 time_ms)
{
	g_autoptr(GDateTime) time = g_date_time_new_from_unix_local(time_ms / 1000);

	return time ? g_date_time_format(time, "%Y-%m-%d %H:%M") : g_strdup("?");
}

/* The first of the two that leads after its machine was off says so: the other cannot have. */
static void look_back(NotifyEngine *engine)
{
	g_autofree char *before = NULL, *boot = NULL, *since = NULL, *text = NULL;
	g_auto(GStrv) parts = NULL;
	gint64 last_ms;

	if (engine->returned || !engine->place.known)
		return;
	if (engine->place.connected && engine->place.peer_leads) {
		engine->returned = true;
		note_alive(engine);
		return;
	}
	if (!engine->place.leads)
		return;
	engine->returned = true;
	before = notify_store_remembered(engine->store, "alive");
	parts = g_strsplit(before, " ", 2);
	if (g_strv_length(parts) == 2 && g_file_get_contents(BOOT_ID, &boot, NULL, NULL)) {
		g_strstrip(boot);
		last_ms = g_ascii_strtoll(parts[1], NULL, 10);
		if (!g_str_equal(boot, parts[0]) && now_ms() - last_ms >= AWAY_MIN_MS) {
			since = words_of(last_ms);
			text = g_strdup_printf(engine->paired ? "Nobody was there: this device was off since about %s, and has not heard of the other one after that."
							      : "This device was off since about %s.",
					       since);
			notify_engine_note(engine, "back again", 3, text, "");
		}
	}
	note_alive(engine);
}

/* ---- The supervisor's word ---- */

void notify_engine_place(NotifyEngine *engine, GVariant *place)
{
	gboolean leads = FALSE, paired = FALSE, connected = FALSE, peer_leads = FALSE;
	const char *peer = "";
	g_autoptr(GVariant) heads = g_variant_lookup_value(place, "heads", G_VARIANT_TYPE_VARDICT);
	bool first = !engine->place.known;

	(void)g_variant_lookup(place, "leads", "b", &leads);
	(void)g_variant_lookup(place, "paired", "b", &paired);
	(void)g_variant_lookup(place, "connected", "b", &connected);
	(void)g_variant_lookup(place, "peer_leads", "b", &peer_leads);
	(void)g_variant_lookup(place, "peer", "&s", &peer);
	g_free(engine->place.peer);
	engine->place = (OutboxPlace){ .known = true, .leads = leads, .connected = connected, .peer_leads = peer_leads, .peer = g_strdup(peer) };
	engine->paired = paired;
	take_heads(engine, heads);
	if (first && paired) {
		g_clear_handle_id(&engine->start_timer, g_source_remove);
		engine->start_timer = g_timeout_add(MERGE_MS, on_start_time, engine);
	}
	if (!outbox_takes_over(&engine->place))
		g_clear_handle_id(&engine->grace_timer, g_source_remove);
	else if (!engine->grace_timer)
		engine->grace_timer = g_timeout_add(paired ? GRACE_MS : 1, on_grace_time, engine);
	look_back(engine);
	notify_engine_hand_over(engine);
	ask(engine);
}

void notify_engine_begin_place(NotifyEngine *engine)
{
	engine->start_timer = g_timeout_add(START_MS, on_start_time, engine);
	engine->alive_timer = g_timeout_add_seconds(ALIVE_S, on_alive_time, engine);
}

void notify_engine_end_place(NotifyEngine *engine)
{
	g_clear_handle_id(&engine->ask_timer, g_source_remove);
	g_clear_handle_id(&engine->heads_timer, g_source_remove);
	g_clear_handle_id(&engine->start_timer, g_source_remove);
	g_clear_handle_id(&engine->grace_timer, g_source_remove);
	g_clear_handle_id(&engine->alive_timer, g_source_remove);
	g_free(engine->place.peer);
	g_free(engine->peer_store);
}
