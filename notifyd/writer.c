/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/writer.c - the writer's thread, its groups, and how they are answered. */
#include "writer.h"

#include "dbus/bus-source.h"

/*
 * So many orders in one transaction, and so long until the next one when there were as many. A flood is slowed down by that: it takes longer, and leaves the processors to others,
 * whose calls are answered meanwhile. What comes now and then waits for nothing. Where the disk takes longer than that by itself, more go together.
 */
#define GROUP     64
#define GROUP_MAX 512
#define GROUP_US  (20 * G_TIME_SPAN_MILLISECOND)
#define TURN      4    /* answers, before the loop looks at what else there is. Each makes a signal for every connection, of which libdbus writes two
			* kilobytes in a turn: with more, who asks for something else would wait for all of them to be written */
/* And so long until the next ones. A group whose answers went out together would come back as as many new calls, and all of them would pass the message bus at once: what others
 * send there would wait behind them. */
#define TURN_US (GROUP_US * TURN / GROUP)

struct NotifyWriter {
	NotifyStore *store; /* the thread's */
	NotifyStore *reader;
	GThread *thread;
	GSource *source; /* in the main loop: there are answers */
	NotifyStoreNote note;
	void (*told)(gpointer user_data);
	gpointer user_data;

	GQueue taken; /* of NotifyOrder*: answered, and the main loop's to tell of */

	GMutex lock; /* for what follows; held for moments, in which nobody allocates: who has it may have to wait for a processor */
	GCond changed;
	GQueue ordered, answered; /* of NotifyOrder* */
	GPtrArray *notes;         /* of NotifyEvent*; NULL: none */
	NotifyCounts counts;
	bool under_way, waiting, hurried, ending;
};

/* All of @from behind @to. */
static void move_all(GQueue *to, GQueue *from)
{
	if (to->tail && from->head) {
		to->tail->next = from->head;
		from->head->prev = to->tail;
		to->tail = from->tail;
		to->length += from->length;
	} else if (from->head) {
		*to = *from;
	}
	g_queue_init(from);
}

/* ---- In the thread ---- */

static bool write_as_one(NotifyStore *store, const GQueue *group)
{
	g_autoptr(GError) error = NULL;
	bool good = notify_store_begin(store, &error);

	for (const GList *each = group->head; good && each; each = each->next) {
		NotifyOrder *order = each->data;

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
static void write_group(NotifyStore *store, const GQueue *group)
{
	if (group->length > 1 && write_as_one(store, group))
		return;
	for (const GList *each = group->head; each; each = each->next) {
		NotifyOrder *order = each->data;

		if (!order->work(store, order, &order->failure) && !order->failure)
			g_set_error_literal(&order->failure, NOTIFY_ERROR, NOTIFY_ERROR_STORE, "not stored");
	}
}

static void on_note(const NotifyEvent *event, gpointer user_data)
{
	NotifyWriter *writer = user_data;

	g_mutex_lock(&writer->lock);
	if (!writer->notes)
		writer->notes = g_ptr_array_new_with_free_func((GDestroyNotify)notify_event_free);
	g_ptr_array_add(writer->notes, notify_event_copy(event));
	g_mutex_unlock(&writer->lock);
}

/* After a full group that was begun at @begun_us: how many are in the next one. Rests before it, unless somebody waits for all that is ordered. */
static guint rest(NotifyWriter *writer, guint n, gint64 begun_us)
{
	gint64 until_us = begun_us + GROUP_US;

	if (g_get_monotonic_time() > until_us)
		return MIN(2 * n, GROUP_MAX);
	g_mutex_lock(&writer->lock);
	while (!writer->hurried && !writer->ending && g_cond_wait_until(&writer->changed, &writer->lock, until_us))
		;
	g_mutex_unlock(&writer->lock);
	return MAX(n / 2, GROUP);
}

static gpointer run(gpointer data)
{
	NotifyWriter *writer = data;
	GQueue orders = G_QUEUE_INIT; /* taken, and not in a group yet */
	guint most = GROUP;

	for (;;) {
		GQueue group = G_QUEUE_INIT;
		gint64 begun_us;
		bool is_full;
		NotifyCounts counts;

		g_mutex_lock(&writer->lock);
		move_all(&orders, &writer->ordered);
		while (g_queue_is_empty(&orders) && !writer->ending) {
			writer->waiting = true;
			g_cond_wait(&writer->changed, &writer->lock);
			writer->waiting = false;
			move_all(&orders, &writer->ordered);
		}
		writer->under_way = true;
		g_mutex_unlock(&writer->lock);
		if (g_queue_is_empty(&orders))
			break;

		while (group.length < most && !g_queue_is_empty(&orders))
			g_queue_push_tail_link(&group, g_queue_pop_head_link(&orders));
		is_full = group.length == most;
		begun_us = g_get_monotonic_time();
		write_group(writer->store, &group);
		notify_store_counts(writer->store, &counts);

		g_mutex_lock(&writer->lock);
		writer->under_way = !g_queue_is_empty(&orders);
		writer->counts = counts;
		move_all(&writer->answered, &group);
		g_cond_broadcast(&writer->changed);
		g_mutex_unlock(&writer->lock);
		g_source_set_ready_time(writer->source, 0);
		if (is_full)
			most = rest(writer, most, begun_us);
	}
	notify_store_close(writer->store); /* brings what is in the log into the database, and waits for that too */
	return NULL;
}

/* ---- In the main loop ---- */

/* The next one, with the counts that belong to it. */
static NotifyOrder *next_answered(NotifyWriter *writer)
{
	g_autoptr(GPtrArray) notes = NULL;
	NotifyCounts counts;

	if (g_queue_is_empty(&writer->taken)) {
		g_mutex_lock(&writer->lock);
		notes = g_steal_pointer(&writer->notes);
		move_all(&writer->taken, &writer->answered);
		counts = writer->counts;
		g_mutex_unlock(&writer->lock);
		notify_store_take_counts(writer->reader, &counts);
	}
	for (guint i = 0; notes && i < notes->len && writer->note; i++)
		writer->note(notes->pdata[i], writer->user_data);
	return g_queue_pop_head(&writer->taken);
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
	gint64 begun_us = g_source_get_time(source);

	g_source_set_ready_time(source, -1); /* first: what is answered from now on sets it again */
	if (answer(writer, TURN))
		g_source_set_ready_time(source, begun_us + TURN_US);
	return G_SOURCE_CONTINUE;
}

static gboolean on_ready(gpointer user_data)
{
	return G_SOURCE_CONTINUE;
}

void notify_writer_order(NotifyWriter *writer, NotifyOrder *order)
{
	GList *link = g_list_prepend(NULL, order);
	bool waiting;

	g_mutex_lock(&writer->lock);
	g_queue_push_tail_link(&writer->ordered, link);
	waiting = writer->waiting;
	g_mutex_unlock(&writer->lock);
	if (waiting)
		g_cond_broadcast(&writer->changed);
}

static bool is_idle(NotifyWriter *writer)
{
	bool idle;

	if (!g_queue_is_empty(&writer->taken))
		return false;
	g_mutex_lock(&writer->lock);
	writer->hurried = true;
	g_cond_broadcast(&writer->changed);
	while (g_queue_is_empty(&writer->answered) && (writer->under_way || !g_queue_is_empty(&writer->ordered)))
		g_cond_wait(&writer->changed, &writer->lock);
	idle = g_queue_is_empty(&writer->answered);
	writer->hurried = false;
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
	writer->hurried = true;
	g_cond_broadcast(&writer->changed);
	while (!g_queue_remove(&writer->answered, &mending.order))
		g_cond_wait(&writer->changed, &writer->lock);
	writer->hurried = false;
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
	g_clear_pointer(&writer->notes, g_ptr_array_unref);
	g_cond_clear(&writer->changed);
	g_mutex_clear(&writer->lock);
	g_free(writer);
}
