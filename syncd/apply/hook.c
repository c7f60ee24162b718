/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/apply/hook.c - what is wanted of the supervisor, and who waits for it. */
#include "syncd/apply/hook.h"

#include "syncd/error.h"

enum { NOBODY_MS = 5000 }; /* beyond the command's own deadline, which the supervisor keeps */

typedef struct {
	guint64 serial;
	SettingsHookKind kind;
	char *application, *commit, *role;
	char *from, *to;
	bool waited_for; /* by a thread, which frees it; else the main context does */
	bool again;      /* started once more when it has ended, for `next` */
	char *next, *next_role;
	bool ended, ok;
	char *text;
	SyncHookFailed failed;
	gpointer user_data;
} Hook;

struct SyncHooks {
	GMutex lock;
	GCond changed;
	GPtrArray *list; /* of Hook*, not owned */
	guint64 serial;
	GSourceFunc tell;
	gpointer user_data;
	guint telling; /* idle source */
};

static void hook_free(Hook *hook)
{
	g_free(hook->application);
	g_free(hook->commit);
	g_free(hook->role);
	g_free(hook->from);
	g_free(hook->to);
	g_free(hook->next);
	g_free(hook->next_role);
	g_free(hook->text);
	g_free(hook);
}

SyncHooks *sync_hooks_new(GSourceFunc changed, gpointer user_data)
{
	SyncHooks *hooks = g_new0(SyncHooks, 1);

	g_mutex_init(&hooks->lock);
	g_cond_init(&hooks->changed);
	hooks->list = g_ptr_array_new();
	/* Not those of an earlier process: the supervisor may be about to answer one of these. */
	hooks->serial = (guint64)g_random_int() << 32;
	hooks->tell = changed;
	hooks->user_data = user_data;
	return hooks;
}

void sync_hooks_free(SyncHooks *hooks)
{
	if (!hooks)
		return;
	if (hooks->telling)
		g_source_remove(hooks->telling);
	for (guint i = 0; i < hooks->list->len; i++)
		hook_free(hooks->list->pdata[i]);
	g_ptr_array_unref(hooks->list);
	g_cond_clear(&hooks->changed);
	g_mutex_clear(&hooks->lock);
	g_free(hooks);
}

static gboolean told(gpointer data)
{
	SyncHooks *hooks = data;

	g_mutex_lock(&hooks->lock);
	hooks->telling = 0;
	g_mutex_unlock(&hooks->lock);
	(void)hooks->tell(hooks->user_data);
	return G_SOURCE_REMOVE;
}

/* Under the lock. */
static void changed(SyncHooks *hooks)
{
	if (!hooks->telling)
		hooks->telling = g_idle_add_full(G_PRIORITY_DEFAULT, told, hooks, NULL);
}

static Hook *want(SyncHooks *hooks, const SyncHookWish *wish)
{
	Hook *hook = g_new0(Hook, 1);

	hook->serial = ++hooks->serial;
	hook->kind = wish->kind;
	hook->application = g_strdup(wish->application);
	hook->commit = g_strdup(wish->commit);
	hook->role = g_strdup(wish->role);
	hook->from = g_strdup(wish->from ? wish->from : "");
	hook->to = g_strdup(wish->to ? wish->to : "");
	g_ptr_array_add(hooks->list, hook);
	changed(hooks);
	return hook;
}

static void on_cancelled(GCancellable *cancellable, gpointer user_data)
{
	SyncHooks *hooks = user_data;

	g_mutex_lock(&hooks->lock);
	g_cond_broadcast(&hooks->changed);
	g_mutex_unlock(&hooks->lock);
}

bool sync_hooks_run(SyncHooks *hooks, const SyncHookWish *wish, GCancellable *cancellable, char **ret_text, GError **error)
{
	gint64 until_us = g_get_monotonic_time() + ((gint64)wish->timeout_ms + NOBODY_MS) * 1000;

	if (g_cancellable_set_error_if_cancelled(cancellable, error))
		return false;
	g_mutex_lock(&hooks->lock);
	Hook *hook = want(hooks, wish);
	hook->waited_for = true;
	g_mutex_unlock(&hooks->lock);
	/* Not under the lock: it may run the callback at once. */
	gulong handler = cancellable ? g_cancellable_connect(cancellable, G_CALLBACK(on_cancelled), hooks, NULL) : 0;
	g_mutex_lock(&hooks->lock);
	while (!hook->ended && !g_cancellable_is_cancelled(cancellable))
		if (!g_cond_wait_until(&hooks->changed, &hooks->lock, until_us))
			break;
	g_ptr_array_remove(hooks->list, hook);
	changed(hooks);
	g_mutex_unlock(&hooks->lock);
	if (handler)
		g_cancellable_disconnect(cancellable, handler);
	bool ok = hook->ended && hook->ok;
	if (!hook->ended && !g_cancellable_set_error_if_cancelled(cancellable, error))
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_TIMED_OUT, "%s of application %s was not run", settings_hook_names[wish->kind],
			    wish->application);
	else if (hook->ended && !ok)
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_REFUSED, "%s of application %s: %s", settings_hook_names[wish->kind], wish->application,
			    hook->text);
	else if (ok && ret_text)
		*ret_text = g_steal_pointer(&hook->text);
	hook_free(hook);
	return ok;
}

void sync_hooks_start(SyncHooks *hooks, const SyncHookWish *wish, SyncHookFailed failed, gpointer user_data)
{
	g_autoptr(GMutexLocker) held = g_mutex_locker_new(&hooks->lock);

	for (guint i = 0; i < hooks->list->len; i++) {
		Hook *hook = hooks->list->pdata[i];

		if (hook->waited_for || hook->kind != wish->kind || !g_str_equal(hook->application, wish->application))
			continue;
		hook->again = true;
		g_free(hook->next);
		g_free(hook->next_role);
		hook->next = g_strdup(wish->commit);
		hook->next_role = g_strdup(wish->role);
		return;
	}
	Hook *hook = want(hooks, wish);
	hook->failed = failed;
	hook->user_data = user_data;
}

GVariant *sync_hooks_wanted(SyncHooks *hooks)
{
	g_autoptr(GMutexLocker) held = g_mutex_locker_new(&hooks->lock);
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE("a(tssssss)"));
	for (guint i = 0; i < hooks->list->len; i++) {
		const Hook *hook = hooks->list->pdata[i];

		if (!hook->ended)
			g_variant_builder_add(&builder, "(tssssss)", hook->serial, settings_hook_names[hook->kind], hook->application,
					      hook->commit, hook->role, hook->from, hook->to);
	}
	return g_variant_builder_end(&builder);
}

static Hook *find(SyncHooks *hooks, guint64 serial)
{
	for (guint i = 0; i < hooks->list->len; i++) {
		Hook *hook = hooks->list->pdata[i];

		if (hook->serial == serial && !hook->ended)
			return hook;
	}
	return NULL;
}

bool sync_hooks_ended(SyncHooks *hooks, guint64 serial, bool ok, const char *text)
{
	g_mutex_lock(&hooks->lock);
	Hook *hook = find(hooks, serial);

	if (!hook) {
		g_mutex_unlock(&hooks->lock);
		return false;
	}
	changed(hooks);
	if (hook->waited_for) {
		hook->ended = true;
		hook->ok = ok;
		hook->text = g_strdup(text);
		g_cond_broadcast(&hooks->changed);
		g_mutex_unlock(&hooks->lock);
		return true;
	}
	g_ptr_array_remove(hooks->list, hook);
	if (hook->again) {
		SyncHookWish wish = { .kind = hook->kind, .application = hook->application, .commit = hook->next, .role = hook->next_role };
		Hook *next = want(hooks, &wish);

		next->failed = hook->failed;
		next->user_data = hook->user_data;
	}
	g_mutex_unlock(&hooks->lock);
	if (!ok && hook->failed)
		hook->failed(hook->application, hook->commit, text, hook->user_data);
	hook_free(hook);
	return true;
}
