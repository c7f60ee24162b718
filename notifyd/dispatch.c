/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/dispatch.c - one queue a target, at most one program each, and what its answers mean for the next. */
#include "dispatch.h"

#include <string.h>

#include "dbus/bus-error.h"
#include "job.h"
#include "program.h"

#define MAX_RUNNING    4
#define AFTER_CRASH_MS 2000             /* an attempt that we did not live to see the end of is repeated after this */
#define PAUSE_FIRST_MS (15 * 60 * 1000LL)
#define PAUSE_MS       (3600 * 1000LL)
#define TELL_AGAIN_US  (3600LL * G_USEC_PER_SEC) /* of messages refused by one target */
#define STEP_MS        5000             /* the wall clock was set when it is off by this */
#define LOOK_MAX_MS    60000
#define SECRET_BYTES   4096

/* One that the settings name, or named when its program was started. */
typedef struct {
	NotifyDispatch *dispatch;
	NotifyTarget *info;
	/* the attempt under way */
	bool beginning; /* it is being noted, and not started yet */
	const OutboxRow *begun; /* noted in this one, which is being stored */
	NotifyProgram *program;
	guint64 row;
	char *message, *text;
	char **left; /* who has not got his answer */
	guint attempts;
	bool about;
	gint64 created_ms;
	guint n_accepted, n_refused;
	char *login; /* how it said that it does not let us in */
	char *refusal;
	char *words;
	/* what became of the last ones */
	guint failures; /* in a row */
	guint pauses;   /* in a row; > 0: it does not let us in */
	gint64 not_before_ms;
	gint64 refusal_told_us;
	gint64 last_ms;
	char *last_words;
	/* a test under way */
	NotifyProgram *test;
	GHashTable *test_left;
	GVariantBuilder *test_results;
	NotifyTestDone test_done;
	gpointer test_data;
	guint n_writes; /* on their way to the disk: until then the store does not say what is next */
	bool gone; /* out of the settings; freed when nothing runs */
} Queue;

struct NotifyDispatch {
	NotifyWriter *writer;
	NotifyStore *store; /* for reading */
	char *device, *programs, *secrets;
	NotifyDispatchPlan plan;
	GPtrArray *queues; /* of Queue* */
	bool enabled;
	guint n_running; /* attempts, those included that are being noted */
	guint n_writes;  /* that are about all queues */
	guint timer;
	gint64 offset_ms; /* wall clock less monotonic */
	bool has_offset;
};

static gint64 now_ms(void)
{
	return g_get_real_time() / 1000;
}

NotifyTarget *notify_target_new(const char *id, const char *const *to, const char *const *keys)
{
	NotifyTarget *target = g_new0(NotifyTarget, 1);
	const char *colon = strchr(id, ':');

	target->id = g_strdup(id);
	target->kind = colon ? g_strndup(id, (gsize)(colon - id)) : g_strdup(id);
	target->to = g_strdupv((char **)to);
	target->keys = g_strdupv((char **)keys);
	return target;
}

void notify_target_free(NotifyTarget *target)
{
	if (!target)
		return;
	g_free(target->id);
	g_free(target->kind);
	g_strfreev(target->to);
	g_strfreev(target->keys);
	g_free(target);
}

static void queue_free(gpointer data)
{
	Queue *queue = data;

	notify_program_kill(queue->program);
	notify_program_kill(queue->test);
	g_clear_pointer(&queue->test_results, g_variant_builder_unref);
	g_clear_pointer(&queue->test_left, g_hash_table_unref);
	notify_target_free(queue->info);
	g_free(queue->message);
	g_free(queue->text);
	g_strfreev(queue->left);
	g_free(queue->login);
	g_free(queue->refusal);
	g_free(queue->words);
	g_free(queue->last_words);
	g_free(queue);
}

static bool is_busy(const Queue *queue)
{
	return queue->program || queue->beginning || queue->n_writes > 0;
}

static void leave_if_gone(Queue *queue)
{
	if (queue->gone && !is_busy(queue) && !queue->test)
		g_ptr_array_remove(queue->dispatch->queues, queue);
}

NotifyDispatch *notify_dispatch_new(NotifyWriter *writer, const char *device, const NotifyDispatchPlan *plan)
{
	NotifyDispatch *dispatch = g_new0(NotifyDispatch, 1);

	dispatch->writer = writer;
	dispatch->store = notify_writer_reader(writer);
	dispatch->plan = *plan;
	dispatch->device = g_strdup(device);
	dispatch->programs = g_strdup(plan->programs);
	dispatch->secrets = g_strdup(plan->secrets);
	dispatch->queues = g_ptr_array_new_with_free_func(queue_free);
	return dispatch;
}

void notify_dispatch_free(NotifyDispatch *dispatch)
{
	if (!dispatch)
		return;
	g_clear_handle_id(&dispatch->timer, g_source_remove);
	g_ptr_array_unref(dispatch->queues);
	g_free(dispatch->device);
	g_free(dispatch->programs);
	g_free(dispatch->secrets);
	g_free(dispatch);
}

static Queue *find(NotifyDispatch *dispatch, const char *id)
{
	for (guint i = 0; i < dispatch->queues->len; i++) {
		Queue *queue = dispatch->queues->pdata[i];

		if (!queue->gone && g_str_equal(queue->info->id, id))
			return queue;
	}
	return NULL;
}

static void raise_about(Queue *queue, const char *name, guint8 priority, const char *format, ...) G_GNUC_PRINTF(4, 5);
static void raise_about(Queue *queue, const char *name, guint8 priority, const char *format, ...)
{
	NotifyDispatch *dispatch = queue->dispatch;
	g_autofree char *text = NULL;
	va_list args;

	if (!dispatch->plan.tell)
		return;
	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	dispatch->plan.tell(queue->info->id, name, priority, text, dispatch->plan.user_data);
}

static void changed(NotifyDispatch *dispatch)
{
	if (dispatch->plan.changed)
		dispatch->plan.changed(dispatch->plan.user_data);
}

/* ---- What is noted ---- */

/* One of the store's changes, ordered. */
typedef struct Write Write;
struct Write {
	NotifyOrder order;
	bool (*change)(NotifyStore *store, Write *write, GError **error);
	void (*then)(Write *write, const GError *error); /* may be NULL */
	NotifyDispatch *dispatch;
	Queue *queue; /* NULL: about all */
	guint64 row;
	char *target, *recipient, *words;
	OutboxOutcome outcome;
	OutboxState state;
	gint64 due_ms, now_ms, step_ms;
	bool begun, about;
	guint n;
};

static bool write_work(NotifyStore *store, NotifyOrder *order, GError **error)
{
	Write *write = (Write *)order;

	return write->change(store, write, error);
}

static void write_done(NotifyOrder *order, const GError *error)
{
	Write *write = (Write *)order;
	NotifyDispatch *dispatch = write->dispatch;
	Queue *queue = write->queue;

	if (error)
		g_warning("%s: %s", queue ? queue->info->id : "outbox", error->message);
	if (queue)
		queue->n_writes--;
	else
		dispatch->n_writes--;
	if (write->then)
		write->then(write, error);
	if (queue)
		leave_if_gone(queue);
	g_free(write->target);
	g_free(write->recipient);
	g_free(write->words);
	g_free(write);
	notify_dispatch_look(dispatch);
}

/* @init: what it needs, its texts to be copied. */
static void note(NotifyDispatch *dispatch, Queue *queue, const Write *init)
{
	Write *write = g_memdup2(init, sizeof *init);

	write->order = (NotifyOrder){ .work = write_work, .done = write_done };
	write->dispatch = dispatch;
	write->queue = queue;
	write->target = g_strdup(init->target ? init->target : queue ? queue->info->id : NULL);
	write->recipient = g_strdup(init->recipient);
	write->words = g_strdup(init->words);
	write->now_ms = now_ms();
	if (queue)
		queue->n_writes++;
	else
		dispatch->n_writes++;
	notify_writer_order(dispatch->writer, &write->order);
}

static bool note_attempt(NotifyStore *store, Write *write, GError **error)
{
	return notify_store_attempt(store, write->row, write->dispatch->device, write->due_ms, &write->begun, error);
}

static bool note_answer(NotifyStore *store, Write *write, GError **error)
{
	return notify_store_answer(store, write->row, write->recipient, write->outcome, write->words, write->now_ms, &write->n, error);
}

static bool note_end(NotifyStore *store, Write *write, GError **error)
{
	return notify_store_settle(store, write->row, write->state, write->due_ms, write->words, write->now_ms, error);
}

static bool note_hold(NotifyStore *store, Write *write, GError **error)
{
	return notify_store_hold(store, write->target, write->due_ms, error);
}

static bool note_expiry(NotifyStore *store, Write *write, GError **error)
{
	return notify_store_expire(store, write->target, write->due_ms, write->words, write->now_ms, &write->n, error);
}

static bool note_wake(NotifyStore *store, Write *write, GError **error)
{
	return notify_store_wake(store, write->target, write->now_ms, error);
}

static bool note_shift(NotifyStore *store, Write *write, GError **error)
{
	return notify_store_shift(store, write->step_ms, write->due_ms, error);
}

static bool note_nameless(NotifyStore *store, Write *write, GError **error)
{
	return notify_store_refuse(store, write->target, write->dispatch->device, write->words, write->now_ms, error);
}

/* ---- One attempt ---- */

static char *read_secret(NotifyDispatch *dispatch, const NotifyTarget *target)
{
	g_autofree char *name = g_strdelimit(g_strdup(target->id), ":", '.');
	g_autofree char *path = g_build_filename(dispatch->secrets, name, NULL);
	g_autofree char *text = NULL;
	gsize length;

	if (strchr(name, '/') || !g_file_get_contents(path, &text, &length, NULL) || length > SECRET_BYTES)
		return NULL;
	return g_steal_pointer(&text);
}

static NotifyProgram *start(Queue *queue, const char *text, const char *message, bool test, const char *const *to, NotifyProgramLine line,
			    NotifyProgramEnd end, GError **error)
{
	NotifyDispatch *dispatch = queue->dispatch;
	const char *kind = queue->info->kind;
	g_autofree char *secret = read_secret(dispatch, queue->info);
	g_autofree char *job = notify_job_complete(text, message, dispatch->plan.deadline_ms, test, kind, (const char *const *)queue->info->keys, secret, to,
						   error);
	g_autofree char *name = g_strconcat("understudy-", g_str_equal(kind, "snmp") ? "trap" : kind, NULL);
	g_autofree char *path = g_build_filename(dispatch->programs, name, NULL);

	return job ? notify_program_start(path, job, dispatch->plan.deadline_ms, line, end, queue, error) : NULL;
}

static void keep_words(char **place, const char *words)
{
	g_free(*place);
	*place = g_strdup(words);
}

/* It will be sent again, since nobody would know that it was; not at once, since that may fail as well. */
static void on_answer_noted(Write *write, const GError *error)
{
	Queue *queue = write->queue;

	if (error)
		queue->not_before_ms = now_ms() + outbox_delay_ms(++queue->failures, 0);
}

static bool take_out(char **list, const char *text)
{
	for (char **each = list; *each; each++) {
		if (!g_str_equal(*each, text))
			continue;
		g_free(*each);
		memmove(each, each + 1, (g_strv_length(each + 1) + 1) * sizeof *each);
		return true;
	}
	return false;
}

static void on_line(const char *recipient, OutboxOutcome outcome, const char *words, gpointer user_data)
{
	Queue *queue = user_data;

	if (outcome == OUTBOX_REFUSES && outbox_is_login(queue->info->id, words)) {
		outcome = OUTBOX_RETRY; /* the message may still be told, once the password is right */
		keep_words(&queue->login, words);
	}
	keep_words(&queue->words, words);
	note(queue->dispatch, queue, &(Write){ .change = note_answer, .then = on_answer_noted, .row = queue->row, .recipient = (char *)recipient, .outcome = outcome,
							       .words = (char *)words });
	if (outcome == OUTBOX_REFUSES)
		keep_words(&queue->refusal, words);
	if (outcome != OUTBOX_RETRY)
		(void)take_out(queue->left, recipient);
	queue->n_accepted += outcome == OUTBOX_ACCEPTED;
	queue->n_refused += outcome == OUTBOX_REFUSES;
}

static void settle(Queue *queue, OutboxState state, gint64 due_ms, const char *words)
{
	note(queue->dispatch, queue, &(Write){ .change = note_end, .row = queue->row, .state = state, .due_ms = due_ms, .words = (char *)words });
}

/* Name or password are wrong. To try again and again would lock the account; said once, until it lets us in. */
static void pause_target(Queue *queue, gint64 at_ms)
{
	queue->not_before_ms = at_ms + (queue->pauses == 0 ? PAUSE_FIRST_MS : PAUSE_MS);
	settle(queue, OUTBOX_WAITING, queue->not_before_ms, NULL);
	note(queue->dispatch, queue, &(Write){ .change = note_hold, .due_ms = queue->not_before_ms });
	if (queue->pauses++ == 0)
		raise_about(queue, "delivery paused", 2, "%s does not let this device in; what is to be told there waits until its settings or its secret are changed: %s",
		     queue->info->id, queue->login);
}

static void on_given_up(Write *write, const GError *error)
{
	if (!write->about || write->n > 0)
		raise_about(write->queue, "delivery given up", 3, "%s could not be told of %u event%s for a day: %s", write->target, write->n + 1,
			    write->n ? "s" : "", write->words);
}

static void give_up(Queue *queue, gint64 at_ms)
{
	settle(queue, OUTBOX_EXPIRED, at_ms, queue->words);
	note(queue->dispatch, queue, &(Write){ .change = note_expiry, .then = on_given_up, .due_ms = at_ms - OUTBOX_EXPIRY_MS, .words = queue->words,
						.about = queue->about });
}

static void fail(Queue *queue, gint64 at_ms)
{
	bool alive = queue->n_accepted + queue->n_refused > 0;
	gint64 delay_ms;

	if (!alive)
		queue->failures++;
	delay_ms = outbox_delay_ms(MAX(queue->attempts, queue->failures), g_random_double());
	/* Where the server answered for others, only this message waits; where it did not, the whole queue does. */
	queue->not_before_ms = alive ? 0 : at_ms + outbox_delay_ms(queue->failures, 0);
	if (outbox_is_expired(queue->created_ms, at_ms))
		give_up(queue, at_ms);
	else
		settle(queue, OUTBOX_WAITING, at_ms + delay_ms, NULL);
}

static void end_attempt(Queue *queue)
{
	queue->last_ms = now_ms();
	g_free(queue->last_words);
	queue->last_words = g_steal_pointer(&queue->words);
	g_clear_pointer(&queue->login, g_free);
	g_clear_pointer(&queue->refusal, g_free);
}

static void on_end(const char *how, gpointer user_data)
{
	Queue *queue = user_data;
	NotifyDispatch *dispatch = queue->dispatch;
	gint64 at_ms = now_ms(), now_us = g_get_monotonic_time();
	bool any_left = *queue->left != NULL;

	queue->program = NULL;
	dispatch->n_running--;
	if (*how && any_left)
		keep_words(&queue->words, how);
	if (!queue->words)
		queue->words = g_strdup("no answer");
	if (queue->n_accepted > 0) {
		queue->failures = queue->pauses = 0;
		queue->not_before_ms = 0;
	}
	if (queue->n_refused > 0 && !queue->about && (!queue->refusal_told_us || now_us - queue->refusal_told_us >= TELL_AGAIN_US)) {
		queue->refusal_told_us = now_us;
		raise_about(queue, "delivery refused", 2, "%s refused a message for good: %s", queue->info->id, queue->refusal);
	}
	if (any_left && queue->login && queue->n_accepted == 0)
		pause_target(queue, at_ms);
	else if (any_left)
		fail(queue, at_ms);
	if (*how)
		g_message("%s: %s", queue->info->id, how);
	end_attempt(queue);
	leave_if_gone(queue);
	changed(dispatch);
	notify_dispatch_look(dispatch);
}

/* The attempt is on disk. */
static void start_noted(Queue *queue)
{
	NotifyDispatch *dispatch = queue->dispatch;
	g_autoptr(GError) error = NULL;

	queue->beginning = false;
	queue->n_accepted = queue->n_refused = 0;
	queue->program = start(queue, queue->text, queue->message, false, (const char *const *)queue->left, on_line, on_end, &error);
	if (queue->program)
		return;
	dispatch->n_running--;
	keep_words(&queue->words, error->message);
	g_warning("%s: %s", queue->info->id, error->message);
	fail(queue, now_ms());
	end_attempt(queue);
}

static void not_begun(Queue *queue)
{
	queue->beginning = false;
	queue->dispatch->n_running--;
}

/* @attempts: this one included. */
static void take_row(Queue *queue, const OutboxRow *row, guint attempts)
{
	queue->row = row->id;
	queue->attempts = attempts;
	queue->about = row->about;
	queue->created_ms = row->created_ms;
	keep_words(&queue->message, row->message);
	keep_words(&queue->text, row->text);
	g_strfreev(queue->left);
	queue->left = g_strdupv(row->to);
}

static void on_attempt_noted(Write *write, const GError *error)
{
	Queue *queue = write->queue;

	if (error)
		queue->not_before_ms = now_ms() + AFTER_CRASH_MS;
	if (error || !write->begun || queue->gone)
		not_begun(queue);
	else
		start_noted(queue);
}

static void begin(Queue *queue, const OutboxRow *row)
{
	NotifyDispatch *dispatch = queue->dispatch;

	queue->beginning = true;
	dispatch->n_running++;
	take_row(queue, row, row->attempts + 1);
	note(dispatch, queue, &(Write){ .change = note_attempt, .then = on_attempt_noted, .row = row->id, .due_ms = now_ms() + AFTER_CRASH_MS });
}

static bool is_free(const Queue *queue, gint64 at_ms)
{
	const NotifyDispatch *dispatch = queue->dispatch;

	return dispatch->enabled && dispatch->n_writes == 0 && !queue->gone && !is_busy(queue) && queue->not_before_ms <= at_ms &&
	       dispatch->n_running < MAX_RUNNING;
}

void notify_dispatch_begin(NotifyDispatch *dispatch, const GPtrArray *rows)
{
	gint64 at_ms = now_ms();

	for (guint i = 0; i < rows->len; i++) {
		OutboxRow *row = rows->pdata[i];
		Queue *queue = find(dispatch, row->target);

		if (!queue || !is_free(queue, at_ms) || !g_str_equal(row->owner, dispatch->device))
			continue;
		row->attempts = 1;
		row->due_ms = at_ms + AFTER_CRASH_MS;
		queue->begun = row;
		queue->beginning = true;
		dispatch->n_running++;
	}
}

void notify_dispatch_stored(NotifyDispatch *dispatch, const GPtrArray *rows, bool stored)
{
	for (guint i = dispatch->queues->len; i-- > 0;) {
		Queue *queue = dispatch->queues->pdata[i];
		const OutboxRow *row = queue->begun;

		if (!row || !g_ptr_array_find((GPtrArray *)rows, row, NULL))
			continue;
		queue->begun = NULL;
		if (stored && row->state == OUTBOX_WAITING && !queue->gone) {
			take_row(queue, row, row->attempts);
			start_noted(queue);
		} else {
			not_begun(queue);
			leave_if_gone(queue);
		}
	}
}

/* ---- What is due ---- */

static gboolean on_timer(gpointer user_data)
{
	NotifyDispatch *dispatch = user_data;

	dispatch->timer = 0;
	notify_dispatch_look(dispatch);
	return G_SOURCE_REMOVE;
}

void notify_dispatch_look_at_clock(NotifyDispatch *dispatch, gint64 real_ms, gint64 monotonic_ms)
{
	gint64 offset_ms = real_ms - monotonic_ms, step_ms = offset_ms - dispatch->offset_ms;

	if (dispatch->has_offset && ABS(step_ms) < STEP_MS)
		return;
	if (dispatch->has_offset) {
		g_message("the clock was set by %" G_GINT64_FORMAT " ms", step_ms);
		note(dispatch, NULL, &(Write){ .change = note_shift, .step_ms = step_ms, .due_ms = real_ms });
		for (guint i = 0; i < dispatch->queues->len; i++) {
			Queue *queue = dispatch->queues->pdata[i];

			if (queue->not_before_ms)
				queue->not_before_ms += step_ms;
		}
	}
	dispatch->offset_ms = offset_ms;
	dispatch->has_offset = true;
}

/* When it wants to be looked at again; G_MAXINT64: when something new comes. */
static gint64 look_at(Queue *queue, gint64 at_ms)
{
	NotifyDispatch *dispatch = queue->dispatch;
	g_autoptr(OutboxRow) row = NULL;
	g_autoptr(GError) error = NULL;

	if (is_busy(queue) || queue->gone || dispatch->n_writes > 0)
		return G_MAXINT64; /* looked at again when that is over */
	if (queue->not_before_ms > at_ms)
		return queue->not_before_ms;
	if (dispatch->n_running >= MAX_RUNNING)
		return G_MAXINT64; /* the next that ends looks again */
	if (!notify_store_next(dispatch->store, queue->info->id, dispatch->device, &row, &error)) {
		g_warning("%s: %s", queue->info->id, error->message);
		return at_ms + LOOK_MAX_MS;
	}
	if (!row)
		return G_MAXINT64;
	if (!outbox_is_due(row->due_ms, at_ms))
		return row->due_ms;
	begin(queue, row);
	return G_MAXINT64;
}

/* Rows for targets that the settings do not name any more. */
static void refuse_the_nameless(NotifyDispatch *dispatch)
{
	g_autoptr(GError) error = NULL;
	g_auto(GStrv) names = notify_store_targets(dispatch->store, dispatch->device, &error);

	for (char **name = names; name && *name; name++)
		if (!find(dispatch, *name))
			note(dispatch, NULL, &(Write){ .change = note_nameless, .target = *name, .words = "the settings name no such target any more" });
	if (error)
		g_warning("%s", error->message);
}

void notify_dispatch_look(NotifyDispatch *dispatch)
{
	gint64 at_ms = now_ms(), next_ms = G_MAXINT64;

	g_clear_handle_id(&dispatch->timer, g_source_remove);
	if (!dispatch->enabled)
		return;
	notify_dispatch_look_at_clock(dispatch, at_ms, g_get_monotonic_time() / 1000);
	for (guint i = 0; i < dispatch->queues->len; i++)
		next_ms = MIN(next_ms, look_at(dispatch->queues->pdata[i], at_ms));
	if (next_ms != G_MAXINT64)
		dispatch->timer = g_timeout_add((guint)CLAMP(next_ms - at_ms, 1, LOOK_MAX_MS), on_timer, dispatch);
}

void notify_dispatch_enable(NotifyDispatch *dispatch, bool enabled)
{
	if (enabled && !dispatch->enabled) {
		dispatch->enabled = true;
		refuse_the_nameless(dispatch);
	}
	dispatch->enabled = enabled;
	notify_dispatch_look(dispatch);
}

static bool is_same(const NotifyTarget *a, const NotifyTarget *b)
{
	return g_strv_equal((const char *const *)a->keys, (const char *const *)b->keys) &&
	       g_strv_equal((const char *const *)a->to, (const char *const *)b->to);
}

/* Whatever it waited for may be different now. */
static void wake(Queue *queue)
{
	queue->failures = queue->pauses = 0;
	queue->not_before_ms = 0;
	note(queue->dispatch, queue, &(Write){ .change = note_wake });
}

void notify_dispatch_configure(NotifyDispatch *dispatch, GPtrArray *targets)
{
	GPtrArray *before = dispatch->queues;

	dispatch->queues = g_ptr_array_new_with_free_func(queue_free);
	for (guint i = 0; i < targets->len; i++) {
		NotifyTarget *info = targets->pdata[i];
		Queue *queue = NULL;

		for (guint k = 0; k < before->len && !queue; k++) {
			Queue *each = before->pdata[k];

			if (!each->gone && g_str_equal(each->info->id, info->id))
				queue = g_ptr_array_steal_index(before, k);
		}
		if (!queue) {
			queue = g_new0(Queue, 1);
			queue->dispatch = dispatch;
			queue->info = info;
			g_ptr_array_add(dispatch->queues, queue);
			continue;
		}
		bool same = is_same(queue->info, info);

		notify_target_free(queue->info);
		queue->info = info;
		g_ptr_array_add(dispatch->queues, queue);
		if (!same || queue->pauses > 0)
			wake(queue);
	}
	for (guint k = 0; k < before->len;) {
		Queue *each = before->pdata[k];

		if (!is_busy(each) && !each->test) {
			k++;
			continue;
		}
		each->gone = true;
		g_ptr_array_add(dispatch->queues, g_ptr_array_steal_index(before, k));
	}
	g_ptr_array_unref(before);
	(void)g_ptr_array_set_free_func(targets, NULL);
	g_ptr_array_unref(targets);
	if (dispatch->enabled)
		refuse_the_nameless(dispatch);
	notify_dispatch_look(dispatch);
}

/* ---- The test button ---- */

static void add_result(Queue *queue, const char *recipient, const char *outcome, const char *words)
{
	g_variant_builder_add(queue->test_results, "(sss)", recipient, outcome, words);
}

static void on_test_line(const char *recipient, OutboxOutcome outcome, const char *words, gpointer user_data)
{
	Queue *queue = user_data;

	if (!g_hash_table_remove(queue->test_left, recipient))
		return;
	add_result(queue, recipient, outbox_outcomes[outcome], words);
	if (outcome == OUTBOX_ACCEPTED && queue->pauses > 0)
		wake(queue);
}

static void on_test_end(const char *how, gpointer user_data)
{
	Queue *queue = user_data;
	NotifyDispatch *dispatch = queue->dispatch;
	g_autoptr(GVariant) results = NULL;
	GHashTableIter iter;
	gpointer recipient;

	queue->test = NULL;
	g_hash_table_iter_init(&iter, queue->test_left);
	while (g_hash_table_iter_next(&iter, &recipient, NULL))
		add_result(queue, recipient, outbox_outcomes[OUTBOX_RETRY], *how ? how : "no answer");
	results = g_variant_ref_sink(g_variant_builder_end(queue->test_results));
	g_clear_pointer(&queue->test_results, g_variant_builder_unref);
	g_clear_pointer(&queue->test_left, g_hash_table_unref);
	queue->test_done(results, NULL, queue->test_data);
	leave_if_gone(queue);
	notify_dispatch_look(dispatch);
}

void notify_dispatch_test(NotifyDispatch *dispatch, const char *target, const char *who, NotifyTestDone done, gpointer user_data)
{
	Queue *queue = find(dispatch, target);
	g_autoptr(GError) error = NULL;

	if (!queue)
		g_set_error(&error, BUS_ERROR, BUS_ERROR_NOT_FOUND, "the settings name no target %s", target);
	else if (queue->test)
		g_set_error(&error, BUS_ERROR, BUS_ERROR_BUSY, "%s is being tested", target);
	if (error) {
		done(NULL, error, user_data);
		return;
	}
	g_autofree char *message = g_uuid_string_random();
	g_autofree char *body = g_strdup_printf("This is a test of %s, ordered by %s on device %s. Nothing has happened.\n", target, who, dispatch->device);
	g_autofree char *subject = g_strdup_printf("[%s] test of %s", dispatch->device, target);
	g_autoptr(NotifyEvent) event = notify_event_new("NOTIFY", "test", 1, body, "", dispatch->device, now_ms());
	g_autofree char *text = notify_job_text(event, subject, body, false, event->time_ms);
	const char *const *to = (const char *const *)queue->info->to;

	queue->test_done = done;
	queue->test_data = user_data;
	queue->test_results = g_variant_builder_new(G_VARIANT_TYPE("a(sss)"));
	queue->test_left = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	for (const char *const *each = to; *each; each++)
		g_hash_table_add(queue->test_left, g_strdup(*each));
	queue->test = start(queue, text, message, true, to, on_test_line, on_test_end, &error);
	if (!queue->test)
		on_test_end(error->message, queue);
}

/* ---- For people ---- */

GVariant *notify_dispatch_targets(NotifyDispatch *dispatch)
{
	GVariantBuilder list;

	g_variant_builder_init(&list, G_VARIANT_TYPE("aa{sv}"));
	for (guint i = 0; i < dispatch->queues->len; i++) {
		Queue *queue = dispatch->queues->pdata[i];
		guint waiting = 0;

		if (queue->gone || !notify_store_waiting(dispatch->store, queue->info->id, &waiting, NULL))
			continue;
		g_variant_builder_open(&list, G_VARIANT_TYPE_VARDICT);
		g_variant_builder_add(&list, "{sv}", "id", g_variant_new_string(queue->info->id));
		g_variant_builder_add(&list, "{sv}", "kind", g_variant_new_string(queue->info->kind));
		g_variant_builder_add(&list, "{sv}", "to", g_variant_new_strv((const char *const *)queue->info->to, -1));
		g_variant_builder_add(&list, "{sv}", "state",
				      g_variant_new_string(queue->pauses ? "paused" : queue->failures ? "failing" : "good"));
		g_variant_builder_add(&list, "{sv}", "waiting", g_variant_new_uint32(waiting));
		g_variant_builder_add(&list, "{sv}", "failures", g_variant_new_uint32(queue->failures));
		g_variant_builder_add(&list, "{sv}", "next_ms", g_variant_new_int64(queue->not_before_ms));
		g_variant_builder_add(&list, "{sv}", "last_ms", g_variant_new_int64(queue->last_ms));
		g_variant_builder_add(&list, "{sv}", "words", g_variant_new_string(queue->last_words ? queue->last_words : ""));
		g_variant_builder_close(&list);
	}
	return g_variant_builder_end(&list);
}
