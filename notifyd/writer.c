/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/writer.c - the writer's thread, its groups, and how they are answered. */
#include "writer.h"

#include "dbus/bus-source.h"

#define GROUP_MAX 512  /* orders in one transaction: who waits for the first waits for all of it */
#define TURN      4    /* answers, before the loop looks at what else there is. Each makes a signal for every connection, of which libdbus writes two
			* kilobytes in a turn: with more, who asks for something else would wait for all of them to be written */

struct NotifyWriter {
	NotifyStore *store; /* the thread's */
	NotifyStore *reader;
	GThread *thread;
	GSource *source; /* in the main loop: there are answers */
	NotifyStoreNote note;
	void (*told)(gpointer user_data);
	gpointer user_data;

	GMutex lock; /* for what follows */
	GCond changed;
	GQueue ordered, answered; /* of NotifyOrder* */
	GPtrArray *notes;         /* of NotifyEvent* */
	NotifyCounts counts;
	bool under_way, ending;
};

/* ---- In the thread ---- */

static bool write_as_one(NotifyStore *store, GPtrArray *group)
{
	g_autoptr(GError) error = NULL;
	bool good = notify_store_begin(store, &error);

	for (guint i = 0; good && i < group->len; i++) {
		NotifyOrder *order = group->pdata[i];

		good = order->work(store, order, &error);
	}
	if (good)
		good = notify_store_commit(store, &error);
	if (!good) {
		g_debug("one by one: %s", error->message);
		notify_store_roll_back(store);
	}
	return good;
}

/* Where something fails each is on its own: its own transaction, its own error. */
static void write_group(NotifyStore *store, GPtrArray *group)
{
	if (group->len > 1 && write_as_one(store, group))
		return;
	for (guint i = 0; i < group->len; i++) {
		NotifyOrder *order = group->pdata[i];

		if (!order->work(store, order, &order->failure) && !order->failure)
			g_set_error_literal(&order->failure, NOTIFY_ERROR, NOTIFY_ERROR_STORE, "not stored");
	}
}

static void on_note(const NotifyEvent *event, gpointer user_data)
{
	NotifyWriter *writer = user_data;

	g_mutex_lock(&writer->lock);
	g_ptr_array_add(writer->notes, notify_event_copy(event));
	g_mutex_unlock(&writer->lock);
}

static gpointer run(gpointer data)
{
	NotifyWriter *writer = data;
	g_autoptr(GPtrArray) group = g_ptr_array_new();

	g_mutex_lock(&writer->lock);
	for (;;) {
		while (g_queue_is_empty(&writer->ordered) && !writer->ending)
			g_cond_wait(&writer->changed, &writer->lock);
		if (g_queue_is_empty(&writer->ordered))
			break;
		g_ptr_array_set_size(group, 0);
		while (group->len < GROUP_MAX && !g_queue_is_empty(&writer->ordered))
			g_ptr_array_add(group, g_queue_pop_head(&writer->ordered));
		writer->under_way = true;
		g_mutex_unlock(&writer->lock);

		write_group(writer->store, group);

		g_mutex_lock(&writer->lock);
		writer->under_way = false;
		notify_store_counts(writer->store, &writer->counts);
		for (guint i = 0; i < group->len; i++)
			g_queue_push_tail(&writer->answered, group->pdata[i]);
		g_cond_broadcast(&writer->changed);
		g_source_set_ready_time(writer->source, 0);
	}
	g_mutex_unlock(&writer->lock);
	notify_store_close(writer->store); /* brings what is in the log into the database, and waits for that too */
	return NULL;
}

/* ---- In the main loop ---- */

/* The next one, with the counts that belong to it. */
static NotifyOrder *next_answered(NotifyWriter *writer)
{
	g_autoptr(GPtrArray) notes = NULL;
	NotifyOrder *order;

	g_mutex_lock(&writer->lock);
	if (writer->notes->len > 0) {
		notes = writer->notes;
		writer->notes = g_ptr_array_new_with_free_func((GDestroyNotify)notify_event_free);
	}
	order = g_queue_pop_head(&writer->answered);
	notify_store_take_counts(writer->reader, &writer->counts);
	g_mutex_unlock(&writer->lock);
	for (guint i = 0; notes && i < notes->len && writer->note; i++)
		writer->note(notes->pdata[i], writer->user_data);
	return order;
}

/* True: there may be more. */
static bool answer(NotifyWriter *writer, guint most)
{
	NotifyOrder *order = NULL;
	guint n;

	for (n = 0; n < most && (order = next_answered(writer)); n++) {
		g_autoptr(GError) failure = g_steal_pointer(&order->failure);

		order->done(order, failure);
	}
	if (n > 0 && writer->told)
		writer->told(writer->user_data);
	return order != NULL;
}

static gboolean on_answered(GSource *source, GSourceFunc callback, gpointer user_data)
{
	NotifyWriter *writer = user_data;

	g_source_set_ready_time(source, -1); /* first: what is answered from now on sets it again */
	if (answer(writer, TURN))
		g_source_set_ready_time(source, 0);
	return G_SOURCE_CONTINUE;
}

static gboolean on_ready(gpointer user_data)
{
	return G_SOURCE_CONTINUE;
}

void notify_writer_order(NotifyWriter *writer, NotifyOrder *order)
{
	g_mutex_lock(&writer->lock);
	g_queue_push_tail(&writer->ordered, order);
	g_cond_broadcast(&writer->changed);
	g_mutex_unlock(&writer->lock);
}

static bool is_idle(NotifyWriter *writer)
{
	bool idle;

	g_mutex_lock(&writer->lock);
	while (g_queue_is_empty(&writer->answered) && (writer->under_way || !g_queue_is_empty(&writer->ordered)))
		g_cond_wait(&writer->changed, &writer->lock);
	idle = g_queue_is_empty(&writer->answered);
	g_mutex_unlock(&writer->lock);
	return idle;
}

void notify_writer_finish(NotifyWriter *writer)
{
	while (!is_idle(writer))
		(void)answer(writer, G_MAXUINT);
}

/* ---- The one that reads ---- */

typedef struct {
	NotifyOrder order;
	const char *id, *why;
} Mending;

static bool mend_work(NotifyStore *store, NotifyOrder *order, GError **error)
{
	Mending *mending = (Mending *)order;

	return notify_store_mend(store, mending->id, mending->why, error);
}

/* The file is gone, or damaged: what is read next depends on what the writer makes of it, so this once it is waited for. */
static bool mend(const char *why, gpointer user_data, GError **error)
{
	NotifyWriter *writer = user_data;
	Mending mending = { .order = { .work = mend_work }, .id = notify_store_id(writer->reader), .why = why };

	g_mutex_lock(&writer->lock);
	g_queue_push_tail(&writer->ordered, &mending.order);
	g_cond_broadcast(&writer->changed);
	while (!g_queue_remove(&writer->answered, &mending.order))
		g_cond_wait(&writer->changed, &writer->lock);
	notify_store_take_counts(writer->reader, &writer->counts);
	g_mutex_unlock(&writer->lock);
	if (!mending.order.failure)
		return true;
	g_propagate_error(error, mending.order.failure);
	return false;
}

NotifyStore *notify_writer_reader(NotifyWriter *writer)
{
	return writer->reader;
}

/* ---- How much is kept ---- */

typedef struct {
	NotifyOrder order;
	guint capacity, days;
} Keeping;

static bool keep_work(NotifyStore *store, NotifyOrder *order, GError **error)
{
	Keeping *keeping = (Keeping *)order;

	notify_store_keep(store, keeping->capacity, keeping->days);
	return true;
}

static void keep_done(NotifyOrder *order, const GError *error)
{
	g_free(order);
}

void notify_writer_keep(NotifyWriter *writer, guint capacity, guint days)
{
	Keeping *keeping = g_new0(Keeping, 1);

	*keeping = (Keeping){ { .work = keep_work, .done = keep_done }, capacity, days };
	notify_writer_order(writer, &keeping->order);
	notify_store_keep(writer->reader, capacity, days);
}

/* ---- The writer ---- */

void notify_writer_watch(NotifyWriter *writer, NotifyStoreNote note, void (*told)(gpointer user_data), gpointer user_data)
{
	writer->note = note;
	writer->told = told;
	writer->user_data = user_data;
}

NotifyWriter *notify_writer_new(NotifyStore *store)
{
	static GSourceFuncs functions = { .dispatch = on_answered };
	NotifyWriter *writer = g_new0(NotifyWriter, 1);

	g_mutex_init(&writer->lock);
	g_cond_init(&writer->changed);
	writer->store = store;
	writer->notes = g_ptr_array_new_with_free_func((GDestroyNotify)notify_event_free);
	notify_store_counts(store, &writer->counts);
	notify_store_on_note(store, on_note, writer);
	writer->reader = notify_store_open_reader(store, mend, writer);
	notify_store_take_counts(writer->reader, &writer->counts);

	/* In turn with the connections: a flood of answers holds up nobody's call, nor the other way round. */
	writer->source = g_source_new(&functions, sizeof(GSource));
	g_source_set_static_name(writer->source, "store");
	g_source_set_priority(writer->source, BUS_PRIORITY);
	g_source_set_callback(writer->source, on_ready, writer, NULL);
	g_source_attach(writer->source, NULL);
	writer->thread = g_thread_new("store", run, writer);
	return writer;
}

void notify_writer_free(NotifyWriter *writer)
{
	if (!writer)
		return;
	notify_writer_finish(writer);
	notify_store_close(writer->reader); /* the last that closes does the work */
	g_mutex_lock(&writer->lock);
	writer->ending = true;
	g_cond_broadcast(&writer->changed);
	g_mutex_unlock(&writer->lock);
	g_thread_join(writer->thread);
	g_source_destroy(writer->source);
	g_source_unref(writer->source);
	g_ptr_array_unref(writer->notes);
	g_cond_clear(&writer->changed);
	g_mutex_clear(&writer->lock);
	g_free(writer);
}
